"""The programs that the agent runs, and its own limits."""

import contextlib
import os
import resource
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from seaway_agent.kernel import seccomp_bpf
from seaway_agent.runtime.runtimes import Runtimes
from seaway_contracts.errors import internal

_RUNTIMES: Final = ("crun", "runc", "runsc")
_SELF_COPYING: Final = ("crun",)
_INITS: Final = ("tini-static", "tini", "catatonit", "docker-init")
_OPEN_FILES: Final = 1 << 20


@dataclass(frozen=True)
class Programs:
    """`init` and `buildah` are empty where the node has none."""

    conmon: str
    runtimes: Runtimes
    init: str
    buildah: str = ""

    @property
    def self_copying(self) -> list[str]:
        """The runtimes that execute themselves a second time, unless they are on a read-only mount."""
        return [self.runtimes.programs[name] for name in _SELF_COPYING if name in self.runtimes.programs]

    @property
    def filter_takers(self) -> list[str]:
        """The runtimes that take a compiled seccomp filter."""
        return [name for name, program in self.runtimes.programs.items() if seccomp_bpf.is_supported_by(program)]


def find_programs(default_runtime: str) -> Programs:
    """What is installed. Raises SeawayError that names the package which is missing."""
    if os.geteuid() != 0:
        raise internal("the agent needs root: it makes namespaces, mounts and cgroups")
    conmon = shutil.which("conmon")
    if conmon is None:
        raise internal("conmon is missing: install the package conmon")
    runtimes = _found(_RUNTIMES)
    if default_runtime not in runtimes:
        raise internal(f"the runtime {default_runtime} is missing: install the package {default_runtime}")
    return Programs(
        conmon,
        Runtimes(runtimes, default_runtime),
        next(iter(_found(_INITS).values()), ""),
        shutil.which("buildah") or "",
    )


def _found(names: tuple[str, ...]) -> Mapping[str, str]:
    return {name: path for name in names if (path := shutil.which(name)) is not None}


def raise_file_limit() -> tuple[int, int]:
    """Thousands of containers need thousands of descriptors. The limits that were there before, soft and hard."""
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    with contextlib.suppress(ValueError, OSError):
        resource.setrlimit(resource.RLIMIT_NOFILE, (min(_OPEN_FILES, before[1]), before[1]))
    return before
