"""AppArmor as Docker has it: which profile a container gets, and the text of the default one. Pure.

The default profile grants and denies what moby 26.1's does (profiles/apparmor), by rules of our own. AppArmor has no
pattern for "everything but": `_all_but` spells it out.
"""

import re
from collections.abc import Iterator
from typing import Final

from seaway_contracts.containers import Security

DEFAULT: Final = "docker-default"
UNCONFINED: Final = "unconfined"

# The profiles that may signal a container, besides unconfined: the runtimes', where the distribution has some (Ubuntu
# 24.04 does).
_RUNTIMES: Final = ("runc", "crun")
# Other names would be patterns, or several profiles in one.
_PLAIN: Final = re.compile(r"[\w./-]+")
# All access to these paths is denied.
_SEALED: Final = (
    "@{PROC}/sysrq-trigger", "@{PROC}/kcore", "/sys/firmware/**", "/sys/kernel/security/**",
    "/sys/devices/virtual/powercap/**",
)  # fmt: skip


def profile_for(security: Security, *, on: bool, default: bool) -> str:
    """The profile to run under; empty: the runtime sets none.

    `on`: the kernel has AppArmor; without it the option is ignored, as in Docker. `default`: the default profile can be
    loaded.
    """
    asked = security.apparmor or (UNCONFINED if security.privileged else DEFAULT)
    return asked if on and (default or asked != DEFAULT) else ""


def profile_text(agent: str, *, abi: bool, tunables: bool, base: bool) -> str:
    """The default profile's text. `agent` is the profile that the agent runs under itself.

    `abi`, `tunables`, `base`: whether /etc/apparmor.d has abi/3.0, tunables/global, abstractions/base.
    """
    return "\n".join(
        (
            *(["abi <abi/3.0>,"] if abi else []),
            "include <tunables/global>" if tunables else "@{PROC}=/proc/",
            f"profile {DEFAULT} flags=(attach_disconnected,mediate_deleted) {{",
            *(["include <abstractions/base>"] if base else []),
            *_grants(agent),
            *_denials(),
            "}",
            "",
        )
    )


def _grants(agent: str) -> Iterator[str]:
    """Rules that allow all but the denials; signals and ptrace only among containers."""
    yield from ("capability,", "file,", "network,", "umount,")
    outer = [peer for peer in dict.fromkeys((UNCONFINED, *_RUNTIMES, agent)) if _PLAIN.fullmatch(peer)]
    for peer in outer:
        yield f"signal (receive) peer={peer},"
    for peer in (DEFAULT, *(_stacked(peer) for peer in outer if peer != UNCONFINED)):
        yield f"signal (send, receive) peer={peer},"
        yield f"ptrace (trace, tracedby, read, readby) peer={peer},"


def _stacked(profile: str) -> str:
    """A profile stacked on the default one: crun stacks its own, if any, with no-new-privileges."""
    return "//&".join(sorted((profile, DEFAULT)))


def _denials() -> Iterator[str]:
    """Rules that deny mounts, writes to /proc but for processes and shm limits, and writes to /sys but for cgroups."""
    yield "deny mount,"
    yield "deny @{PROC}/* w,"
    for pattern in (
        *(f"@{{PROC}}/{path}" for path in _all_but("sys", or_begins="0-9")),
        *(f"@{{PROC}}/sys/{path}" for path in _all_but("kernel")),
        *(f"@{{PROC}}/sys/kernel/{path}" for path in _all_but("shm", whole=False)),
    ):
        yield f"deny {pattern} w,"
    for pattern in (
        *(f"/sys/{path}" for path in _all_but("fs")),
        *(f"/sys/fs/{path}" for path in _all_but("cgroup")),
    ):
        yield f"deny {pattern} wklx,"
    for path in _SEALED:
        yield f"deny {path} rwklx,"


def _all_but(word: str, *, or_begins: str = "", whole: bool = True) -> Iterator[str]:
    """Patterns for all paths except `word` and those below it (`whole`), or except those that begin with it.

    They don't match a mere prefix of `word` either: there is none. `or_begins`: they don't match paths that begin with
    one of these characters.
    """
    for place, letter in enumerate(word):
        yield f"{word[:place]}[^{letter}]**" if place else f"[^{or_begins}{letter}/]**"
    if whole:
        yield f"{word}[^/]**"


def loaded(profiles: str) -> frozenset[str]:
    """The names in the kernel's list of profiles (`docker-default (enforce)`, a line each)."""
    return frozenset(line.rpartition(" (")[0] for line in profiles.splitlines())


def label(current: str) -> str:
    """The profile in a process's attr/current (`name (mode)`); "unconfined" if that is empty."""
    text = current.strip("\0\n ")
    name, sign, _ = text.rpartition(" (")
    return (name if sign else text) or UNCONFINED
