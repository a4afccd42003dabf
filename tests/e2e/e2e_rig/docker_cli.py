"""The real docker CLI, pointed at the engine under test."""

import os
import pty
import re
import select
import signal
import subprocess
import termios
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path


class CommandFailed(AssertionError):
    """A command that should have worked did not."""


@dataclass(frozen=True)
class Result:
    """What a command did. `out` and `err` lack the last newline."""

    code: int
    stdout: bytes
    err: str

    @property
    def out(self) -> str:
        """Standard output as text."""
        return self.stdout.decode().removesuffix("\n")

    @property
    def lines(self) -> list[str]:
        """Standard output, line by line."""
        return self.out.splitlines()


class DockerCli:
    """Runs `docker …` with an endpoint and a configuration of its own."""

    def __init__(self, host: str, config: Path) -> None:
        self.host = host
        self.environment = {
            "PATH": os.environ["PATH"],
            "HOME": str(config),
            "DOCKER_HOST": host,
            "DOCKER_CONFIG": str(config),
            "DOCKER_CLI_HINTS": "false",
            "TERM": "xterm",
        }

    def try_(self, *words: str, input: bytes | str | None = None, timeout: float = 60, **env: str) -> Result:
        """Run it and see; stdin is empty unless `input` is given."""
        data = input.encode() if isinstance(input, str) else input
        done = subprocess.run(
            ["docker", *words],
            input=data if data is not None else b"",
            capture_output=True,
            timeout=timeout,
            env=self.environment | env,
        )
        return Result(done.returncode, done.stdout, done.stderr.decode().removesuffix("\n"))

    def __call__(self, *words: str, input: bytes | str | None = None, timeout: float = 60, **env: str) -> Result:
        """Run it; raises CommandFailed if it ends with another code than 0."""
        result = self.try_(*words, input=input, timeout=timeout, **env)
        if result.code:
            raise CommandFailed(f"docker {' '.join(words)}: {result.code}: {result.err or result.out}")
        return result

    @contextmanager
    def spawn(self, *words: str) -> Iterator[subprocess.Popen[bytes]]:
        """A command that goes on beside the test, with pipes; killed at the end if it has not ended."""
        process = subprocess.Popen(
            ["docker", *words],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=self.environment,
        )
        with process:
            try:
                yield process
            finally:
                if process.poll() is None:
                    process.kill()

    @contextmanager
    def terminal(self, *words: str, rows: int = 33, columns: int = 99, **env: str) -> Iterator["Terminal"]:
        """A command on a real terminal of this size."""
        pid, fd = pty.fork()
        if pid == 0:
            os.execvpe("docker", ["docker", *words], self.environment | env)
        terminal = Terminal(pid, fd)
        terminal.resize(rows, columns)
        try:
            yield terminal
        finally:
            terminal.close()


class Terminal:
    """The far end of a command's terminal."""

    def __init__(self, pid: int, fd: int) -> None:
        self.pid, self.fd = pid, fd
        self.seen = ""
        self._code: int | None = None

    def resize(self, rows: int, columns: int) -> None:
        """Change the window's size, as a window system does."""
        termios.tcsetwinsize(self.fd, (rows, columns))

    def type(self, text: str) -> None:
        """Press keys."""
        os.write(self.fd, text.encode())

    def expect(self, pattern: str, timeout: float = 20.0) -> re.Match[str]:
        """Wait for text on the screen; what stands before its end is then forgotten."""
        deadline = time.monotonic() + timeout
        while not (match := re.search(pattern, self.seen)):
            if not self._read(deadline):
                raise AssertionError(f"{pattern!r} has not come; on the screen: {self.seen!r}")
        self.seen = self.seen[match.end() :]
        return match

    def wait(self, timeout: float = 20.0) -> int:
        """The command's exit code; what it still writes is kept in `seen`."""
        deadline = time.monotonic() + timeout
        while self._read(deadline):
            pass
        while self._code is None and time.monotonic() < deadline:
            self._reap(os.WNOHANG)
            time.sleep(0.002)
        if self._code is None:
            raise AssertionError(f"the command goes on; on the screen: {self.seen!r}")
        return self._code

    def _read(self, deadline: float) -> bool:
        """Take what is there; False at the end or when time is up."""
        ready, _, _ = select.select([self.fd], [], [], max(0.0, deadline - time.monotonic()))
        if not ready:
            return False
        try:
            data = os.read(self.fd, 65536)
        except OSError:  # EIO: nobody has the other end open
            return False
        self.seen += data.decode(errors="replace")
        return bool(data)

    def _reap(self, flags: int) -> None:
        pid, status = os.waitpid(self.pid, flags)
        if pid:
            self._code = os.waitstatus_to_exitcode(status)

    def close(self) -> None:
        """End the command, if it still runs."""
        os.close(self.fd)
        if self._code is None:
            os.kill(self.pid, signal.SIGKILL)
            self._reap(0)
