"""Names of containers and volumes: validation with Docker's texts, and generated container names."""

import re

from seaway_docker.errors import InvalidParameter

_NAME_CHARS = "[a-zA-Z0-9][a-zA-Z0-9_.-]"
_CONTAINER_NAME = re.compile(_NAME_CHARS + "+")
_VOLUME_NAME = re.compile(_NAME_CHARS + "*")
_LONGEST_VOLUME_NAME = 255
"""It is a directory's name."""

_ADJECTIVES = re.findall(
    r"\w+",
    """
able agile airy amber ample apt azure balmy bold brave breezy bright brisk calm candid clear clever coastal cool coral
crisp curious deep eager easy fair fleet fond frank fresh gentle glad golden grand hardy hearty honest humble jolly keen
kind lively loyal lucid mellow merry mighty neat nimble noble patient plucky proud quick quiet ready serene sharp silver
smooth snug solid spry steady sunny swift tidal trusty vivid warm wise witty
""",
)

_SURNAMES = re.findall(
    r"\w+",
    """
amundsen anning barents baret bass beaufort bering bligh bougainville bowditch byrd cabot cartier cheng cook cousteau
dampier darwin davis dias drake earle ekman elcano eriksson fitzroy flinders forel franklin frobisher gama hansen heezen
hudson humboldt jansen knorr laperouse maclear magellan maury mercator munk nansen parry peary piccard ptolemy
pytheas quiros ricketts ross scoresby shackleton somerville tasman tharp torres tupaia vespucci vancouver wegener zarco
""",
)


def container_name(text: str) -> str:
    """The name without its optional leading slash. Raises InvalidParameter (400)."""
    name = text.removeprefix("/")
    if _CONTAINER_NAME.fullmatch(name) is None:
        raise InvalidParameter(f"Invalid container name ({text}), only {_NAME_CHARS} are allowed")
    return name


def check_volume_name(name: str) -> None:
    """Raise InvalidParameter (400) for a name that the local volume driver refuses."""
    if len(name) < 2:
        raise InvalidParameter(
            f"create {name}: volume name is too short, names should be at least two alphanumeric characters"
        )
    if _VOLUME_NAME.fullmatch(name) is None:
        raise InvalidParameter(
            f'create {name}: "{name}" includes invalid characters for a local volume name, only "{_NAME_CHARS}" '
            "are allowed. If you intended to pass a host directory, use absolute path"
        )
    if len(name) > _LONGEST_VOLUME_NAME:
        raise InvalidParameter(
            f"create {name}: volume name is too long, at most {_LONGEST_VOLUME_NAME} characters are possible"
        )


def generate_name(pick: int, attempt: int = 0) -> str:
    """An `adjective_surname` chosen by `pick`, any non-negative int; a later attempt gets its number appended."""
    surname_index, adjective_index = divmod(pick, len(_ADJECTIVES))
    name = f"{_ADJECTIVES[adjective_index]}_{_SURNAMES[surname_index % len(_SURNAMES)]}"
    return f"{name}{attempt}" if attempt else name
