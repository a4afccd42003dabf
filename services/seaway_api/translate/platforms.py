"""The `platform` of a create request against an image's own (containerd platforms, Parse). Pure."""

import re
from typing import Final

from seaway_contracts.errors import not_found
from seaway_contracts.images import ImageRecord
from seaway_docker.errors import InvalidParameter

_COMPONENT: Final = re.compile(r"[A-Za-z0-9_-]+")
_ARCHITECTURES: Final = {"x86_64": "amd64", "x86-64": "amd64", "aarch64": "arm64", "i386": "386", "i686": "386"}
_KNOWN: Final = frozenset(
    ("386", "amd64", "arm", "arm64", "loong64", "mips64le", "ppc64le", "riscv64", "s390x", "wasm")
)
_SYSTEMS: Final = frozenset(("linux", "windows", "darwin", "freebsd", "wasi"))

_RUNS: Final = {"amd64": ("amd64", "386"), "arm64": ("arm64", "arm"), "arm": ("arm",), "386": ("386",)}
"""What a processor runs of others' programs by itself."""
_VARIANTS: Final = {"arm64": "v8"}
_PARTS: Final = 3
"""System, architecture and variant."""


def check_platform(text: str, ref: str, image: ImageRecord) -> None:
    """Raise InvalidParameter for what is no platform, SeawayError (404) where the image is for another one."""
    if not text:
        return
    system, architecture = parse_platform(text)
    if system not in ("", image.os) or architecture not in ("", image.architecture):
        wanted = f"{system or 'linux'}/{architecture or image.architecture}"
        actual = f"{image.os}/{image.architecture}"
        raise not_found(
            f"image with reference {ref} was found but does not match the specified platform: "
            f"wanted {wanted}, actual: {actual}"
        )


def foreign_warnings(image: ImageRecord, system: str, machine: str) -> list[str]:
    """What a create says of an image for another platform than its node's; `machine` as the kernel calls it."""
    own = _ARCHITECTURES.get(machine, machine)
    if not own or not image.architecture or _suits(image, system, own):
        return []
    asked = "/".join(filter(None, (image.os, image.architecture, image.variant)))
    found = "/".join(filter(None, (system, own, _VARIANTS.get(own, ""))))
    return [
        f"The requested image's platform ({asked}) does not match the detected host platform ({found}) "
        "and no specific platform was requested"
    ]


def _suits(image: ImageRecord, system: str, own: str) -> bool:
    return image.os in ("", system) and image.architecture in _RUNS.get(own, (own,))


def parse_platform(text: str) -> tuple[str, str]:
    """`linux/arm64/v8` or `arm64` -> (system, architecture), empty where not said. Raises InvalidParameter."""
    parts = text.split("/", 3)
    for part in parts:
        if not _COMPONENT.fullmatch(part):
            raise InvalidParameter(
                f'"{part}" is an invalid component of "{text}": '
                f'platform specifier component must match "^{_COMPONENT.pattern}$": invalid argument'
            )
    names = [part.lower() for part in parts]
    if len(names) > _PARTS:
        raise InvalidParameter(f'"{text}": cannot parse platform specifier: invalid argument')
    if len(names) > 1:
        return names[0], _ARCHITECTURES.get(names[1], names[1])
    architecture = _ARCHITECTURES.get(names[0], names[0])
    if names[0] in _SYSTEMS:
        return names[0], ""
    if architecture not in _KNOWN:
        raise InvalidParameter(f'"{text}": unknown operating system or architecture: invalid argument')
    return "linux", architecture
