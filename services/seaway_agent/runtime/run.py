"""One run of a container: what its runtime is given, and what it holds."""

from dataclasses import dataclass

from seaway_agent.core.instructions import Launch
from seaway_agent.runtime.contribution import Contribution
from seaway_contracts.containers import ContainerSpec


@dataclass(frozen=True)
class RunPlan:
    """`order` says which run it is, and who asked; `parts` is what the hooks have prepared for it."""

    spec: ContainerSpec
    order: Launch
    parts: Contribution


@dataclass
class ContainerRun:
    """What a run holds. `pidfd` is the first process, `conmon_fd` its shim (-1: it is gone), a child of ours or not.

    `filtered`: it must have a seccomp filter when it is started.
    """

    pid: int
    pidfd: int
    conmon_fd: int
    child: bool
    filtered: bool = False
