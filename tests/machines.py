"""Processes side by side, each on a little machine of its own; their output comes line by line, with their names."""

import contextlib
import os
import selectors
import signal
import subprocess
import time
from collections.abc import Mapping, Sequence
from types import TracebackType
from typing import Final

_NAMESPACES: Final = ("--mount", "--propagation", "unchanged", "--pid", "--fork", "--mount-proc", "--ipc")
_MACHINE: Final = ("setpriv", "--pdeathsig", "KILL", "unshare", "--kill-child", *_NAMESPACES)
# Mounts are parted from the host's, and spread among themselves as they did there. The shell stays: it reaps orphans.
_FURNISHED: Final = """
spread=$(findmnt --noheadings --output PROPAGATION /)
mount --make-rprivate / && case $spread in shared) mount --make-rshared / ;; esac && ip link set lo up || exit 70
"$@"
exit $?
"""
_ORDERLY_S: Final = 60.0
Commands = Mapping[str, Sequence[str]]


# --- a machine of its own


def on_a_machine_of_its_own(*command: str, network: bool = True) -> list[str]:
    """What runs a command in new namespaces; they end with it, and with who started it."""
    return [*_MACHINE, *(["--net"] if network else []), "sh", "-c", _FURNISHED, "sh", *command]


def why_not_beside() -> str:
    """What speaks against two lanes at once, if anything."""
    if len(os.sched_getaffinity(0)) < 2:
        return "there is one core only"
    tried = subprocess.run(on_a_machine_of_its_own("true"), capture_output=True, text=True)
    said = tried.stderr.strip().replace("\n", "; ")
    return f"there are no namespaces to be had ({said})" if tried.returncode else ""


# --- processes


class Lane:
    """One lane at work. What it prints is printed here line by line, each with the lane's name before it."""

    def __init__(self, name: str, command: Sequence[str], selector: selectors.BaseSelector) -> None:
        self.name = name
        self._process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        assert self._process.stdout is not None
        self._out = self._process.stdout
        os.set_blocking(self._out.fileno(), False)
        self._pidfd = os.pidfd_open(self._process.pid)
        self._rest = b""
        self._selector = selector
        selector.register(self._out, selectors.EVENT_READ, self)
        selector.register(self._pidfd, selectors.EVENT_READ, self)

    def look(self) -> int | None:
        """Print what it has said meanwhile; its exit code once it has ended."""
        ended = self._process.poll()
        self._print()
        if ended is not None:
            self._selector.unregister(self._pidfd)
        return ended

    def interrupt(self) -> None:
        """As Ctrl-C would."""
        if self._process.poll() is None:
            os.killpg(self._process.pid, signal.SIGINT)

    def _print(self) -> None:
        with contextlib.suppress(BlockingIOError):
            while (read := os.read(self._out.fileno(), 1 << 16)) != b"":
                *lines, self._rest = (self._rest + read).split(b"\n")
                for line in lines:
                    self._show(line)
            if self._out in self._selector.get_map():
                self._selector.unregister(self._out)
            if self._rest:
                self._show(self._rest)
                self._rest = b""

    def _show(self, line: bytes) -> None:
        print(f"{self.name:<8} | {line.decode(errors='replace')}".rstrip(), flush=True)

    def __enter__(self) -> "Lane":
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        """Nothing goes on: with the first process of its namespaces all others end."""
        if self._process.poll() is None:
            self._process.kill()
            self._process.wait()
        os.close(self._pidfd)
        self._out.close()


def side_by_side(commands: Commands, at_once: int = 2) -> dict[str, int]:
    """Run all, so many at once; the exit codes."""
    codes: dict[str, int] = {}
    waiting = list(commands.items())
    with contextlib.ExitStack() as stack:
        selector = stack.enter_context(selectors.DefaultSelector())
        running: list[Lane] = []
        try:
            while waiting or running:
                while waiting and len(running) < at_once:
                    running.append(stack.enter_context(Lane(*waiting.pop(0), selector)))
                codes |= _some_ended(selector, running)
        except KeyboardInterrupt:
            for lane in running:
                lane.interrupt()
            deadline = time.monotonic() + _ORDERLY_S
            while running and (left := deadline - time.monotonic()) > 0:
                _some_ended(selector, running, left)
            raise
    return codes


def _some_ended(selector: selectors.BaseSelector, running: list[Lane], timeout: float | None = None) -> dict[str, int]:
    """Wait for news of the lanes; those that have ended are taken from `running`."""
    codes = {}
    for lane in {key.data for key, _ in selector.select(timeout)}:
        if (code := lane.look()) is not None:
            running.remove(lane)
            codes[lane.name] = code
    return codes
