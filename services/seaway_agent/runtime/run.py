"""One run of a container: what an agent holds of it."""

from dataclasses import dataclass

from seaway_agent.endpoints import Connection


@dataclass
class ContainerRun:
    """What a run holds. `pidfd` is the first process, `conmon_fd` its shim (-1: it is gone), a child of ours or not.

    `apparmor`: the profile that it runs under, if any. `filtered`: it must have a seccomp filter when it is started.
    """

    connection: Connection
    pid: int
    pidfd: int
    conmon_fd: int
    child: bool
    apparmor: str = ""
    filtered: bool = False
