"""conmon for an exec: one small process that outlives the agent, as for a container. Pure: its command line.

Everything about an exec is in one directory: process.json, the attach socket, the exit file, which conmon names after
the container.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Final

from seaway_agent.runtime.conmon import SURROUNDINGS

SYNC_FD: Final = 3
START_FD: Final = 4
ATTACH_FD: Final = 5


@dataclass(frozen=True)
class ExecShim:
    """All that conmon must know. `attached`: it waits until its streams have been joined."""

    exec_id: str
    container: str
    conmon: str
    runtime: str
    runtime_root: Path
    bundle: Path
    stdin: bool
    terminal: bool
    attached: bool
    runtime_args: tuple[str, ...] = ()

    @property
    def pid_file(self) -> str:
        """Where the process's pid is written."""
        return f"{self.bundle}/pidfile"

    @property
    def process_file(self) -> str:
        """What to run."""
        return f"{self.bundle}/process.json"

    @property
    def exit_file(self) -> str:
        """Where its end is written down, under the container's name, as conmon does it."""
        return f"{self.bundle}/{self.container}"

    @property
    def log_file(self) -> Path:
        """Where the runtime says what went wrong, if there is a terminal: conmon hears nothing of it then."""
        return self.bundle / "runtime.log"

    def argv(self) -> list[str]:
        """conmon's command line; its end of input is the end of the process's, as each exec has but one client."""
        given = ["--root", str(self.runtime_root), *self.runtime_args]
        if self.terminal:
            given += ["--log", str(self.log_file), "--log-format", "json"]
        flags = [f"--runtime-arg={arg}" for arg in given]
        flags += ["--exec-attach"] if self.attached else []
        flags += ["-i"] if self.stdin else []
        flags += ["-t"] if self.terminal else []
        place = str(self.bundle)
        return [
            self.conmon, "--api-version", "1", "-e", "-c", self.container, "-u", self.exec_id, "-n", self.container,
            "-r", self.runtime, "-b", place, "-p", self.pid_file, "--exec-process-spec", self.process_file,
            "--exit-dir", place, "--persist-dir", place, "--full-attach",
            "-l", "none:", "--no-sync-log", "--sync", "--log-level", "error", *flags,
        ]  # fmt: skip

    def runtime_argv(self) -> list[str]:
        """The runtime's command line where there is no conmon: it leaves the process to its caller."""
        given = ["--root", str(self.runtime_root), *self.runtime_args]
        files = ["--process", self.process_file, "--pid-file", self.pid_file]
        return [self.runtime, *given, "exec", *files, "--detach", self.container]

    def env(self) -> dict[str, str]:
        """conmon's environment: its pipes, and what all have."""
        pipes = {"_OCI_SYNCPIPE": str(SYNC_FD)}
        if self.attached:
            pipes |= {"_OCI_STARTPIPE": str(START_FD), "_OCI_ATTACHPIPE": str(ATTACH_FD)}
        return {**pipes, **SURROUNDINGS}
