"""What the agent and its keeper say to each other: JSON, a message each, over a socket that keeps them apart.

An order has the descriptors of its exec with it: its input, its two outputs, the reading ends of these two, and for one
that has an `Entry` the pidfd of the container's first process.
"""

from dataclasses import dataclass
from typing import Any, Final

AGENT_FD: Final = 3
"""Where the keeper finds its socket (SEQPACKET) to the agent."""

MOST: Final = 65536
"""No message is longer."""

REFUSED: Final = "refused"
"""In an exec's directory: the runtime could not run it."""


@dataclass(frozen=True)
class Entry:
    """How to get into a container without its runtime.

    `namespaces`: of the first process, as flags of setns(2). `cgroups`: their directories. `seccomp`: the file with the
    filter, `apparmor` the profile, each empty for none. The four sets of capabilities are masks by number; `rlimits`
    are number, soft, hard.
    """

    namespaces: int
    cgroups: list[str]
    seccomp: str
    apparmor: str
    args: list[str]
    env: dict[str, str]
    cwd: str
    uid: int
    gid: int
    groups: list[int]
    umask: int
    bounding: int
    permitted: int
    effective: int
    inheritable: int
    rlimits: list[tuple[int, int, int]]
    no_new_privileges: bool


@dataclass(frozen=True)
class Order:
    """One exec: the runtime's command line, where things about it are written, how to do without the runtime.

    `begin_by`: by CLOCK_MONOTONIC, in seconds; what comes later is refused.
    `process`, with an `entry`: what belongs into `process_file` before the runtime is called.
    """

    id: str
    argv: list[str]
    directory: str
    pid_file: str
    exit_file: str
    begin_by: float
    oom_score: int = 0
    process_file: str = ""
    process: dict[str, Any] | None = None
    entry: Entry | None = None
