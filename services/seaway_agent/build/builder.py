"""Runs the builder, in a thread of its own, and says what it and its steps print, in their true order.

The builder's words come over a pipe of its own. What a step prints comes over others, which only the step's runtime
opens, after the agent has let it begin: so a step cannot imitate the builder.
"""

import codecs
import contextlib
import os
import secrets
import select
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import orjson

from seaway_agent.build.step_config import StepRefused, StepRules, confined
from seaway_agent.build.workspace import PIPES, Workspace
from seaway_agent.kernel import cgroups
from seaway_agent.kernel.cgroup_text import CgroupLayout
from seaway_agent.kernel.launcher import Launcher
from seaway_agent.kernel.spawn import Spawned, spawn
from seaway_agent.runtime.failures import refused_launch, runtime_failure
from seaway_contracts.builds import BuildRecord
from seaway_kit.private_files import write_private

Emit = Callable[[BuildRecord], None]
MOST_LINE: Final = 16 << 10
MOST_NOTES: Final = 64 << 10
_PIPE: Final = 64 << 10
# Waits for a line, so that the program has its cgroup before it does anything.
_GATE: Final = ("/bin/sh", "-c", 'read -r _ && exec "$@" </dev/null', "sh")
_HANG_S: Final = 5.0
_UNKNOWN: Final = 255
_MOST_ARGS: Final = 64


class BuildStopped(Exception):
    """The build was stopped."""


@dataclass
class _Lines:
    """Bytes that come in pieces, as lines of bounded length."""

    rest: bytes = b""

    def feed(self, data: bytes) -> list[str]:
        *whole, self.rest = (self.rest + data).split(b"\n")
        if len(self.rest) > MOST_LINE:
            self.rest = self.rest[:MOST_LINE]
        return [line[:MOST_LINE].decode(errors="replace") for line in whole]


@dataclass
class _Texts:
    """A step's output as text: a character that comes in two pieces is one."""

    decoder: codecs.IncrementalDecoder = field(
        default_factory=lambda: codecs.getincrementaldecoder("utf-8")(errors="replace")
    )

    def feed(self, data: bytes) -> str:
        return self.decoder.decode(data)


class Builder:
    """One program's run after another, in one build's cgroup and mount namespace."""

    def __init__(
        self,
        workspace: Workspace,
        launcher: Launcher,
        host: CgroupLayout,
        rules: StepRules,
        etc_files: Callable[[str], Mapping[str, str]],
        emit: Emit,
        flush: Callable[[], None],
    ) -> None:
        """`etc_files` gives the files over /etc of a step with that hostname. `emit` may wait for a slow reader."""
        self._workspace = workspace
        self._directory = workspace.directory
        self._launcher = launcher
        self._host = host
        self._cgroup = rules.cgroup
        self._rules = rules
        self._etc_files = etc_files
        self._emit = emit
        self._flush = flush
        self._stack = contextlib.ExitStack()
        self._pipes: dict[str, int] = {}
        self._notes = 0
        self._orders = _Lines()
        self._creating = False
        self._texts = {"out": _Texts(), "err": _Texts()}
        self._stop_read, self._stop_write = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
        self.last_line = ""
        """The last line that the builder printed."""
        self.notes: list[str] = []
        """What it printed on stderr, bounded."""

    def __enter__(self) -> "Builder":
        for name in PIPES:
            fd = os.open(self._directory / name, os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)
            self._stack.callback(os.close, fd)
            self._pipes[name] = fd
        cgroups.make(self._host, f"{self._cgroup}/builder")
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def stop(self) -> None:
        """Have the run that is under way, and all later ones, end at once. For other threads."""
        with contextlib.suppress(OSError):
            os.write(self._stop_write, b"x")

    def close(self) -> None:
        """Close what `stop` needs."""
        os.close(self._stop_read)
        os.close(self._stop_write)

    def run(self, argv: Sequence[str], env: dict[str, str]) -> int:
        """Run it to its end; its exit code. Raises OSError, BuildStopped; then nothing of it runs on."""
        with _Pipe() as gate, _Pipe() as out, _Pipe() as err:
            fds = {0: gate.reading, 1: out.writing, 2: err.writing}
            child = self._launcher.call(spawn, [*_GATE, *argv], env=env, cwd=str(self._directory), fds=fds).result()
            try:
                cgroups.move(self._host, f"{self._cgroup}/builder", child.pid)
                for pipe, fd in ((gate, gate.reading), (out, out.writing), (err, err.writing)):
                    pipe.close(fd)
                os.write(gate.writing, b"\n")
                self._follow(child, out.reading, err.reading)
                return _reap(child)
            except BaseException:
                self.kill()
                _reap(child)
                raise
            finally:
                os.close(child.pidfd)

    def kill(self) -> None:
        """End everything in the build's cgroup. Raises OSError, TimeoutError."""
        cgroups.kill_all(self._host, self._cgroup, seconds=_HANG_S)

    # --- what comes

    def _follow(self, child: Spawned, out: int, err: int) -> None:
        said, noted = _Lines(), _Lines()
        poll = select.poll()
        for fd in (self._stop_read, out, err, child.pidfd, self._pipes["ctl"], self._pipes["out"], self._pipes["err"]):
            poll.register(fd, select.POLLIN)
        for fd in (out, err):
            os.set_blocking(fd, False)
        while True:
            ready = dict(poll.poll())
            if self._stop_read in ready:
                raise BuildStopped
            ended = child.pidfd in ready
            self._pump(out, err, said, noted)
            for fd in (out, err):
                if ready.get(fd, 0) & select.POLLHUP and not ready[fd] & select.POLLIN:
                    poll.unregister(fd)
            if ended:
                self._pump(out, err, said, noted)
                self._say(said.feed(b"\n") if said.rest else [])
                return

    def _pump(self, out: int, err: int, said: _Lines, noted: _Lines) -> None:
        """Pass on what is there. Before a step may go on, all that came before it is passed on."""
        orders = self._orders.feed(_drained(self._pipes["ctl"]))
        lines, notes = said.feed(_drained(out)), noted.feed(_drained(err))
        if not self._creating:
            self._pass_on_steps()
        self._say(lines)
        for note in notes:
            self._note(note)
        for order in orders:
            self._obey(order)
        self._flush()

    def _pass_on_steps(self) -> None:
        for kind in ("out", "err"):
            while data := _read(self._pipes[kind]):
                if text := self._texts[kind].feed(data):
                    self._emit(BuildRecord(kind="out" if kind == "out" else "err", text=text))

    def _say(self, lines: list[str]) -> None:
        for line in lines:
            self.last_line = line
            self._emit(BuildRecord(kind="line", text=line))

    def _note(self, text: str) -> None:
        text = text.replace(str(self._workspace.context), "").replace(str(self._directory), "")
        self._notes += len(text)
        if self._notes <= MOST_NOTES:
            self.notes.append(text)
            self._emit(BuildRecord(kind="note", text=text))

    # --- what a step's runtime asks

    def _obey(self, order: str) -> None:
        verb, _, bundle = order.partition(" ")
        answer = b"go\n"
        if verb == "create":
            self._creating = True
            answer = self._prepare(Path(bundle))
        elif verb == "start":
            self._creating = False
        elif verb == "failed":
            self._creating = False
            text = (_drained(self._pipes["err"]) + _drained(self._pipes["out"])).decode(errors="replace")
            self._emit(BuildRecord(kind="refused", text=runtime_failure(text[:MOST_LINE]).message))
        os.write(self._pipes["go"], answer)

    def _prepare(self, bundle: Path) -> bytes:
        """Rewrite the step's config, and announce the step."""
        name = secrets.token_hex(32)
        try:
            config = orjson.loads((bundle / "config.json").read_bytes())
            for mount in config.get("mounts") or []:
                if str(mount.get("source", "")).startswith("/"):
                    mount["source"] = os.path.realpath(mount["source"])
            self._workspace.write_shown(self._etc_files(name[:12]))
            write_private(bundle / "config.json", orjson.dumps(confined(config, name, self._rules)))
        except (OSError, ValueError, KeyError, TypeError, AttributeError, StepRefused) as error:
            self._emit(BuildRecord(kind="refused", text=refused_launch(str(error)).message))
            return b"no\n"
        args = tuple(str(word)[:MOST_LINE] for word in config["process"]["args"])
        self._emit(BuildRecord(kind="run", text=name, args=args[:_MOST_ARGS]))
        return b"go\n"


class _Pipe:
    """A pipe whose ends are closed once."""

    def __enter__(self) -> "_Pipe":
        self.reading, self.writing = os.pipe2(os.O_CLOEXEC)
        self._open = {self.reading, self.writing}
        return self

    def close(self, fd: int) -> None:
        self._open.discard(fd)
        os.close(fd)

    def __exit__(self, *_: object) -> None:
        while self._open:
            os.close(self._open.pop())


def _read(fd: int) -> bytes:
    try:
        return os.read(fd, _PIPE)
    except BlockingIOError:
        return b""


def _drained(fd: int) -> bytes:
    """What is there now."""
    pieces = []
    while data := _read(fd):
        pieces.append(data)
    return b"".join(pieces)


def _reap(child: Spawned) -> int:
    try:
        _, status = os.waitpid(child.pid, 0)
    except ChildProcessError:
        return _UNKNOWN
    return os.waitstatus_to_exitcode(status)
