"""What the runtimes differ in, by name. Pure."""

from typing import Final

CRUN: Final = "crun"
RUNSC: Final = "runsc"
# The container's own network namespace is what gVisor calls the host's: its own network stack (`sandbox`) takes every
# namespace of a new kernel for the root one, and refuses it. overlay2: what is written goes to our upper directory.
_RUNSC_FLAGS: Final = ("--platform=systrap", "--network=host", "--overlay2=none")


def global_flags(runtime: str) -> tuple[str, ...]:
    """Flags that go before every command of that runtime."""
    return _RUNSC_FLAGS if runtime == RUNSC else ()


def knows_keyrings(runtime: str) -> bool:
    """Whether its `create` takes `--no-new-keyring`."""
    return runtime != RUNSC


def is_filtered_by_host(runtime: str) -> bool:
    """Whether the host's kernel shows the container's seccomp filter; gVisor filters by its own kernel."""
    return runtime != RUNSC


def filters_late(runtime: str, *, no_new_privileges: bool) -> bool:
    """Whether it loads the seccomp filter only when its init has passed the gate."""
    return runtime == CRUN and no_new_privileges


def recursive_read_only(runtime: str) -> bool:
    """Whether it knows the mount option `rro`; the kernels that Seaway runs on do (5.12)."""
    return runtime != RUNSC
