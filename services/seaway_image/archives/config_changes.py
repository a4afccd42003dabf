"""Dockerfile instructions that change an image's config, as `import` and `commit` take them (`--change`). Pure."""

import json
import posixpath
import re
from collections.abc import Callable, Sequence
from typing import Final

from seaway_contracts.errors import bad_request
from seaway_contracts.images import Healthcheck, ImageConfig
from seaway_docker.errors import InvalidParameter
from seaway_docker.ports import exposed_ports
from seaway_docker.signals import parse_signal
from seaway_image.archives.shell_words import Budget, expand, split_words
from seaway_image.oci.config_encoding import encode_run_config
from seaway_image.oci.configs import parse_run_config
from seaway_image.oci.documents import MAX_CONFIG

_SHELL: Final = ("/bin/sh", "-c")
_DURATION: Final = re.compile(r"(\d+(?:\.\d+)?)(ns|us|µs|ms|s|m|h)")
_UNITS: Final = {"ns": 1, "us": 10**3, "µs": 10**3, "ms": 10**6, "s": 10**9, "m": 60 * 10**9, "h": 3600 * 10**9}
_CONTINUED: Final = re.compile(r"\\[ \t]*(?:\n|$)")
_NEVER_LATER: Final = frozenset({"FROM", "MAINTAINER"})
Instruction = Callable[[ImageConfig, str, "Expand"], ImageConfig]


class Expand:
    """Expands words with the variables of a config as it is before an instruction."""

    def __init__(self, config: ImageConfig, budget: Budget) -> None:
        self._variables = {name: value for name, _, value in (text.partition("=") for text in config.env)}
        self._budget = budget

    def __call__(self, word: str) -> str:
        """The word's text; raises SeawayError(BAD_REQUEST)."""
        return expand(word, self._variables, self._budget)


def apply_changes(config: ImageConfig, changes: Sequence[str]) -> ImageConfig:
    """`config` after these instructions; raises SeawayError(BAD_REQUEST), naming the one that is wrong."""
    lines = [line.strip() for change in changes for line in _CONTINUED.sub("", change).splitlines()]
    given = [line for line in lines if line and not line.startswith("#")]
    if changes and not given:
        raise bad_request("file with no instructions")
    budget = Budget(MAX_CONFIG)
    cmd_given = False
    for line in given:
        word, rest = (*line.split(maxsplit=1), "")[:2]
        instruction = _INSTRUCTIONS.get(word.upper())
        if instruction is None:
            raise bad_request(f"{word[:40]} is not a valid change command")
        if not rest:
            raise bad_request(f"{word.upper()} requires at least one argument")
        config = instruction(config, rest, Expand(config, budget))
        cmd_given |= word.upper() == "CMD"
        if word.upper() == "ENTRYPOINT" and not cmd_given:
            config = _with(config, cmd=None)  # what was meant for another program
    return parse_run_config(encode_run_config(config))


def _with(config: ImageConfig, **fields: object) -> ImageConfig:
    return config.model_copy(update=fields)


def _json_words(rest: str) -> tuple[str, ...] | None:
    """The exec form `["a","b"]`; None for anything else, which is then the shell form."""
    try:
        value = json.loads(rest)
    except (ValueError, RecursionError):
        return None
    if not isinstance(value, list) or not all(isinstance(word, str) for word in value):
        return None
    return tuple(value)


def _command(config: ImageConfig, rest: str) -> tuple[str, ...]:
    exact = _json_words(rest)
    return (*(config.shell or _SHELL), rest) if exact is None else exact


def _pairs(word: str, rest: str, expanded: Expand) -> dict[str, str]:
    """`a=1 b="2 3"`, or the old form `a 1`."""
    words = split_words(rest)
    if words and "=" not in words[0]:
        name, value = (*rest.split(maxsplit=1), "")[:2]
        if not value:
            raise bad_request(f"{word} must have two arguments")
        return {expanded(name): expanded(value)}
    pairs: dict[str, str] = {}
    for one in words:
        name, equals, value = one.partition("=")
        if not equals:
            shown = json.dumps(one[:100], ensure_ascii=False)
            raise bad_request(f"Syntax error - can't find = in {shown}. Must be of the form: name=value")
        if not name:
            raise bad_request(f"{word} names can not be blank")
        pairs[expanded(name)] = expanded(value)
    return pairs


def _env(config: ImageConfig, rest: str, expanded: Expand) -> ImageConfig:
    known = {name: value for name, _, value in (text.partition("=") for text in config.env)}
    pairs = known | _pairs("ENV", rest, expanded)
    return _with(config, env=tuple(f"{name}={value}" for name, value in pairs.items()))


def _label(config: ImageConfig, rest: str, expanded: Expand) -> ImageConfig:
    return _with(config, labels=config.labels | _pairs("LABEL", rest, expanded))


def _workdir(config: ImageConfig, rest: str, expanded: Expand) -> ImageConfig:
    return _with(config, workdir=posixpath.normpath(posixpath.join("/", config.workdir, expanded(rest))))


def _expose(config: ImageConfig, rest: str, expanded: Expand) -> ImageConfig:
    given = [port for word in rest.split() for port in expanded(word).split()]
    try:
        ports = [str(port) for text in given for port in exposed_ports([text])]
    except InvalidParameter:
        wrong = next((text for text in given if not _is_port(text)), given[-1])
        raise bad_request(f"Invalid containerPort: {wrong.partition('/')[0][:100]}") from None
    return _with(config, exposed_ports=tuple(sorted({*config.exposed_ports, *ports})))


def _is_port(text: str) -> bool:
    try:
        return bool(exposed_ports([text]))
    except InvalidParameter:
        return False


def _volume(config: ImageConfig, rest: str, expanded: Expand) -> ImageConfig:
    exact = _json_words(rest)
    paths = [expanded(word) for word in (rest.split() if exact is None else exact)]
    if not all(path.strip() for path in paths):
        raise bad_request("VOLUME specified can not be an empty string")
    return _with(config, volumes=tuple(sorted({*config.volumes, *paths})))


def _stop_signal(config: ImageConfig, rest: str, expanded: Expand) -> ImageConfig:
    signal = expanded(rest)
    try:
        parse_signal(signal)
    except InvalidParameter as error:
        raise bad_request(str(error)) from None
    return _with(config, stop_signal=signal)


def _onbuild(config: ImageConfig, rest: str, _: Expand) -> ImageConfig:
    word = rest.split(maxsplit=1)[0].upper()
    if word == "ONBUILD":
        raise bad_request("Chaining ONBUILD via `ONBUILD ONBUILD` isn't allowed")
    if word in _NEVER_LATER:
        raise bad_request(f"{word} isn't allowed as an ONBUILD trigger")
    return _with(config, on_build=(*config.on_build, rest))


def _healthcheck(config: ImageConfig, rest: str, _: Expand) -> ImageConfig:
    fields: dict[str, int] = {}
    while option := re.match(r"--(interval|timeout|start-period|start-interval|retries)=(\S+)\s+", rest):
        name, text = option[1].replace("-", "_"), option[2]
        fields[name if name == "retries" else f"{name}_ns"] = _count(text) if name == "retries" else _duration(text)
        rest = rest[option.end() :]
    kind, _space, command = rest.partition(" ")
    if kind.upper() == "NONE" and not command and not fields:
        return _with(config, healthcheck=Healthcheck(test=("NONE",)))
    if flag := re.match(r"--([\w-]*)", kind):
        raise bad_request(f"unknown flag: {flag[1]}")
    if kind.upper() != "CMD":
        raise bad_request(f'Unknown type "{kind.upper()[:100]}" in HEALTHCHECK (try CMD)')
    if not command.strip():
        raise bad_request("Missing command after HEALTHCHECK CMD")
    exact = _json_words(command.strip())
    test = ("CMD-SHELL", command.strip()) if exact is None else ("CMD", *exact)
    return _with(config, healthcheck=Healthcheck.model_validate({"test": test, **fields}))


def _count(text: str) -> int:
    if not text.isdigit() or len(text) > 9:
        raise bad_request(f"HEALTHCHECK: --retries={text[:40]} is no number")
    return int(text)


def _duration(text: str) -> int:
    """Go's duration (`1m30s`) in nanoseconds."""
    found = _DURATION.findall(text)
    if not found or "".join(number + unit for number, unit in found) != text or len(text) > 40:
        raise bad_request(f"HEALTHCHECK: {text[:40]!r} is no duration such as 30s")
    return round(sum(float(number) * _UNITS[unit] for number, unit in found))


_INSTRUCTIONS: Final[dict[str, Instruction]] = {
    "CMD": lambda config, rest, _: _with(config, cmd=_command(config, rest)),
    "ENTRYPOINT": lambda config, rest, _: _with(config, entrypoint=_command(config, rest)),
    "ENV": _env,
    "EXPOSE": _expose,
    "HEALTHCHECK": _healthcheck,
    "LABEL": _label,
    "ONBUILD": _onbuild,
    "STOPSIGNAL": _stop_signal,
    "USER": lambda config, rest, expanded: _with(config, user=expanded(rest)),
    "VOLUME": _volume,
    "WORKDIR": _workdir,
}
