"""A network of our own: one namespace plays the machine, another one the rest of the world.

So engines, registries and published ports of a test run never meet those of the machine, what an engine leaves
behind is easy to count, and NAT can be seen at work without any real network. Both namespaces live as long as
the two processes that hold them, which die with the test run.
"""

import contextlib
import ctypes
import os
import subprocess
from collections.abc import Iterator

from e2e_rig.waits import eventually

HOST = "198.18.0.1"
OUTSIDE = "198.18.0.2"
_CLONE_NEWNET = 0x40000000
_HOLD = ["setpriv", "--pdeathsig", "KILL", "unshare", "--net", "sleep", "infinity"]
_libc = ctypes.CDLL(None, use_errno=True)


class World:
    """`inside()` and `outside()` move the calling thread, and what it starts, into a namespace."""

    def __init__(self) -> None:
        self._holders = [subprocess.Popen(_HOLD) for _ in range(2)]
        self._host, self._outside = (holder.pid for holder in self._holders)
        ours = os.readlink("/proc/self/ns/net")
        for pid in (self._host, self._outside):
            eventually(lambda pid=pid: _namespace(pid) not in (None, ours), "a network namespace")  # type: ignore[misc]
        self._wire()

    def _wire(self) -> None:
        with self.inside():
            _ip("link add world0 type veth peer name home0")
            _ip(f"link set home0 netns {self._outside}")
            for words in ("addr add 198.18.0.1/30 dev world0", "link set world0 up", "link set lo up"):
                _ip(words)
            _ip(f"route add default via {OUTSIDE}")
        with self.outside():
            for words in ("addr add 198.18.0.2/30 dev home0", "link set home0 up", "link set lo up"):
                _ip(words)

    @contextlib.contextmanager
    def inside(self) -> Iterator[None]:
        """On the machine that the engine runs on."""
        with entered(self._host):
            yield

    @contextlib.contextmanager
    def outside(self) -> Iterator[None]:
        """On the other machine, which knows no route to containers."""
        with entered(self._outside):
            yield

    def close(self) -> None:
        """Let both namespaces go."""
        for holder in self._holders:
            holder.kill()
            holder.wait()


def _namespace(pid: int) -> str | None:
    try:
        return os.readlink(f"/proc/{pid}/ns/net")
    except OSError:
        return None


def _ip(words: str) -> None:
    subprocess.run(["ip", *words.split()], check=True)


@contextlib.contextmanager
def entered(pid: int) -> Iterator[None]:
    """In the network namespace of that process; the calling thread, and what it starts."""
    home = os.open("/proc/thread-self/ns/net", os.O_RDONLY)
    try:
        with open(f"/proc/{pid}/ns/net") as there:
            _setns(there.fileno())
        try:
            yield
        finally:
            _setns(home)
    finally:
        os.close(home)


def _setns(fd: int) -> None:
    if _libc.setns(fd, _CLONE_NEWNET):
        raise OSError(ctypes.get_errno(), "setns")
