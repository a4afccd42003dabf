"""The OCI runtimes of this node, and how they differ, by name. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from seaway_contracts.errors import bad_request

CRUN: Final = "crun"
RUNSC: Final = "runsc"
# gVisor calls the container's own network namespace the host's. Its own stack (`sandbox`) mistakes every namespace of a
# new kernel for the root one, and refuses it. overlay2=none: writes go to our upper directory.
_RUNSC_FLAGS: Final = ("--platform=systrap", "--network=host", "--overlay2=none")


@dataclass(frozen=True)
class Runtimes:
    """Name → program; `default`: the runtime of containers that name none."""

    programs: Mapping[str, str]
    default: str

    def find(self, name: str) -> tuple[str, str]:
        """A runtime's name and program, the default's for an empty name. Raises SeawayError (400) in Docker's words."""
        chosen = name or self.default
        if chosen not in self.programs:
            raise bad_request(f"unknown or invalid runtime name: {chosen}")
        return chosen, self.programs[chosen]


def global_flags(runtime: str) -> tuple[str, ...]:
    """The flags before every command of this runtime."""
    return _RUNSC_FLAGS if runtime == RUNSC else ()


def knows_keyrings(runtime: str) -> bool:
    """Whether the runtime's `create` takes `--no-new-keyring`."""
    return runtime != RUNSC


def is_filtered_by_host(runtime: str) -> bool:
    """Whether the host's kernel shows the container's seccomp filter; gVisor filters by its own kernel."""
    return runtime != RUNSC


def filters_late(runtime: str, *, no_new_privileges: bool) -> bool:
    """Whether the runtime loads the seccomp filter only after the exec FIFO."""
    return runtime == CRUN and no_new_privileges


def sizes_late(runtime: str) -> bool:
    """Whether the runtime gives an exec's terminal its size when the program may run already."""
    return runtime == CRUN


def recursive_read_only(runtime: str) -> bool:
    """Whether the runtime knows the mount option `rro`; all kernels that Seaway supports do (5.12)."""
    return runtime != RUNSC
