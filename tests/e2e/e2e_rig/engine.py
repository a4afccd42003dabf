"""The engine under test, whichever it is."""

import abc
import signal
import subprocess
from pathlib import Path

from e2e_rig.api import Api
from e2e_rig.waits import eventually


class Engine(abc.ABC):
    """One engine with directories of its own, started in the caller's network namespace.

    `noise` are patterns of the names of files that come and go without being leaks (with `ID` for what is hexadecimal),
    `descriptor_slack` so many open files of one kind as its processes may have more or less.
    """

    noise: tuple[str, ...] = ()
    descriptor_slack = 0

    def __init__(self, directory: Path) -> None:
        self.root, self.run = directory / "root", directory / "run"
        for path in (self.root, self.run):
            path.mkdir(parents=True)
        self.socket = self.run / "docker.sock"
        self.api = Api(str(self.socket))

    @property
    def directories(self) -> tuple[Path, ...]:
        """Where it must leave nothing."""
        return (self.run,)

    @property
    def host(self) -> str:
        """What DOCKER_HOST is set to."""
        return f"unix://{self.socket}"

    @abc.abstractmethod
    def start(self) -> None:
        """Start it; returns when it serves."""

    @abc.abstractmethod
    def stop(self) -> None:
        """End its processes in an orderly way; containers may go on."""

    @abc.abstractmethod
    def purge(self) -> None:
        """Stop it and remove what it made."""

    @abc.abstractmethod
    def processes(self) -> dict[str, int]:
        """The pids of its own long-lived processes, by name."""

    @property
    @abc.abstractmethod
    def cgroup_parent(self) -> str:
        """The directory in every cgroup hierarchy below which its containers are."""

    def serves(self) -> bool:
        """Whether it answers a ping."""
        try:
            return self.api.request("GET", "/_ping", timeout=5).status == 200
        except OSError:
            return False

    def log(self) -> str:
        """The end of what its processes wrote, for a failure's report."""
        texts = [
            f"--- {path.name}\n{path.read_text(errors='replace')[-1500:]}" for path in self.logs() if path.exists()
        ]
        return "\n".join(texts)

    def logs(self) -> list[Path]:
        """Its log files."""
        return sorted(self.run.glob("*.log"))


class Daemon:
    """A child process with a log file, ended by SIGTERM."""

    def __init__(self, words: list[str], log: Path, environment: dict[str, str] | None = None) -> None:
        self.log = log
        with open(log, "ab") as out:
            self.process = subprocess.Popen(
                words, stdin=subprocess.DEVNULL, stdout=out, stderr=out, env=environment, start_new_session=True
            )

    @property
    def pid(self) -> int:
        """Its process id."""
        return self.process.pid

    def check(self) -> None:
        """Raise AssertionError if it has ended."""
        if self.process.poll() is not None:
            text = self.log.read_text(errors="replace")[-3000:]
            raise AssertionError(f"{self.process.args!r} has ended with {self.process.returncode}: {text}")

    def until(self, ready: "object", what: str, timeout: float = 30.0) -> None:
        """Wait until `ready()` is true; raises AssertionError at once if the process ends before."""
        assert callable(ready)

        def state() -> bool:
            self.check()
            return bool(ready())

        eventually(state, what, timeout)

    def stop(self, timeout: float = 40.0) -> int:
        """SIGTERM, and wait for its end; its exit code."""
        self.process.send_signal(signal.SIGTERM)
        try:
            return self.process.wait(timeout)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            raise AssertionError(f"{self.process.args!r} has not ended within {timeout:g} s of SIGTERM") from None
