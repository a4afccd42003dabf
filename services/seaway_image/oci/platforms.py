"""Platforms: reading `linux/arm/v7`, and which entry of an index serves one (containerd's matching rules). Pure."""

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

from seaway_contracts.errors import bad_request

_WORD: Final = re.compile(r"[A-Za-z0-9_-]{1,32}")
_KNOWN: Final = frozenset(
    {
        *("386", "amd64", "amd64p32", "arm", "armbe", "arm64", "arm64be", "loong64", "mips", "mipsle", "mips64"),
        *("mips64le", "mips64p32", "mips64p32le", "ppc", "ppc64", "ppc64le", "riscv", "riscv64", "s390", "s390x"),
        *("sparc", "sparc64", "wasm"),
    }
)
_ARCHITECTURES: Final = {
    "x86_64": "amd64",
    "x86-64": "amd64",
    "aarch64": "arm64",
    "armhf": "arm",
    "armel": "arm",
    "i386": "386",
    "i686": "386",
}
_ARM_VARIANTS: Final = ("v8", "v7", "v6", "v5")
_AMD64_VARIANTS: Final = ("v4", "v3", "v2", "v1")
OURS: Final = "linux"
"""The operating system whose images run here."""
_SYSTEMS: Final = frozenset(
    {
        *("aix", "android", "darwin", "dragonfly", "freebsd", "hurd", "illumos", "ios", "js"),
        *("linux", "nacl", "netbsd", "openbsd", "plan9", "solaris", "windows", "zos"),
    }
)
NOT_SUPPORTED: Final = "operating system is not supported"


@dataclass(frozen=True)
class Platform:
    """What an image runs on, in normal form: `x86_64` is amd64, and arm64's v8 goes without saying."""

    os: str = "linux"
    architecture: str = "amd64"
    variant: str = ""

    def __str__(self) -> str:
        return "/".join(part for part in (self.os, self.architecture, self.variant) if part)


def normal_platform(os: str, architecture: str, variant: str = "") -> Platform:
    """A platform in normal form."""
    os, architecture, variant = os.lower(), architecture.lower(), variant.lower()
    if architecture == "armel":
        variant = variant or "v6"
    architecture = _ARCHITECTURES.get(architecture, architecture)
    if architecture == "arm":
        variant = variant or "v7"
    if (architecture == "arm64" and variant in ("8", "v8")) or (architecture == "amd64" and variant == "v1"):
        variant = ""
    if architecture == "arm" and variant.isdigit():
        variant = f"v{variant}"
    return Platform(os, architecture, variant)


def parse_platform(text: str) -> Platform:
    """`os`, `arch`, `os/arch` or `os/arch/variant`, as the Docker API takes it; raises SeawayError(BAD_REQUEST)."""
    shown, parts = text[:100], ["darwin" if part.lower() == "macos" else part for part in text.split("/")]
    for part in parts:
        if not _WORD.fullmatch(part):
            raise bad_request(
                f'"{part[:100]}" is an invalid component of "{shown}": '
                'platform specifier component must match "^[A-Za-z0-9_-]+$": invalid argument'
            )
    if len(parts) > 3:
        raise bad_request(f'"{shown}": cannot parse platform specifier: invalid argument')
    if len(parts) > 1:
        return normal_platform(*parts)
    if parts[0].lower() in _SYSTEMS:
        return Platform(os=parts[0].lower())
    found = normal_platform("linux", parts[0])
    if found.architecture not in _KNOWN:
        raise bad_request(f'"{shown}": unknown operating system or architecture: invalid argument')
    return found


def parse_own_platform(text: str) -> Platform:
    """The same for what an image is to say of itself: arm64 with a variant has that of v8, as containerd reads it."""
    found = parse_platform(text)
    whole = text.count("/") == 2 and found.architecture == "arm64" and not found.variant
    return replace(found, variant="v8") if whole else found


def acceptable(wanted: Platform) -> Sequence[Platform]:
    """The platforms that run on `wanted`, best first: arm falls back to older variants, arm64 to arm, amd64 to v1."""
    if wanted.architecture == "arm" and wanted.variant in _ARM_VARIANTS:
        older = _ARM_VARIANTS[_ARM_VARIANTS.index(wanted.variant) :]
        return [Platform(wanted.os, "arm", variant) for variant in older]
    if wanted.architecture == "amd64" and wanted.variant in _AMD64_VARIANTS:
        older = _AMD64_VARIANTS[_AMD64_VARIANTS.index(wanted.variant) :]
        return [normal_platform(wanted.os, "amd64", variant) for variant in older]
    if wanted.architecture == "arm64" and not wanted.variant:
        return [wanted, *(Platform(wanted.os, "arm", variant) for variant in _ARM_VARIANTS)]
    return [wanted]


def choose(wanted: Platform, offered: Sequence[Platform | None]) -> int | None:
    """The place in `offered` of the best match (the first of equals); entries without platform match nothing."""
    for candidate in acceptable(wanted):
        for place, platform in enumerate(offered):
            if platform == candidate:
                return place
    return None


def satisfies(actual: Platform, wanted: Platform) -> bool:
    """Whether an image of `actual` may stand for `wanted`; a wanted platform without variant takes any."""
    if actual in acceptable(wanted):
        return True
    return (actual.os, actual.architecture) == (wanted.os, wanted.architecture) and not wanted.variant
