"""conmon, the shim (one C process per container, which outlives the agent): command line and report format. Pure."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Final

SYNC_FD: Final = 3
ENVIRONMENT: Final = {
    "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
    "TMPDIR": ".",
    "TZ": "UTC",
}
"""Environment of conmon and its runtime.

conmon runs in the bundle, so TMPDIR=`.` puts its console socket there, and a killed conmon leaves no file elsewhere.
Log times in UTC parse twice as fast."""

LOG_DRIVERS_WITHOUT_FILE: Final = frozenset({"none"})


@dataclass(frozen=True)
class ShimPlan:
    """Parameters of one conmon. `leave_stdin_open`: stdin outlives its clients (Docker's StdinOnce=false).

    `keyring_flag`: the runtime takes `--no-new-keyring`.
    """

    container: str
    conmon: str
    runtime: str
    runtime_root: Path
    bundle: Path
    exits: Path
    persist: Path
    log: Path | None
    stdin: bool
    terminal: bool
    leave_stdin_open: bool
    runtime_args: tuple[str, ...] = ()
    keyring_flag: bool = True

    @property
    def pid_file(self) -> Path:
        """Where the first process's pid is written."""
        return self.bundle / "pidfile"

    def argv(self) -> list[str]:
        """conmon's command line. `--sync`: it stays our child (one fork less); `--no-sync-log`: no syncfs at exit."""
        given = ["--root", str(self.runtime_root), *self.runtime_args]
        flags = [f"--runtime-arg={arg}" for arg in given]
        flags += ["--no-new-keyring"] if self.keyring_flag else []
        flags += ["-i"] if self.stdin else []
        flags += ["-t"] if self.terminal else []
        flags += ["--leave-stdin-open"] if self.stdin and self.leave_stdin_open else []
        log = f"k8s-file:{self.log}" if self.log is not None else "none:"
        return [
            self.conmon, "--api-version", "1", "-c", self.container, "-u", self.container, "-n", self.container,
            "-r", self.runtime, "-b", str(self.bundle), "-p", str(self.pid_file),
            "--exit-dir", str(self.exits), "--persist-dir", str(self.persist), "--full-attach",
            "-l", log, "--no-sync-log", "--sync", "--log-level", "error", *flags,
        ]  # fmt: skip

    def env(self) -> dict[str, str]:
        """conmon's environment: the sync pipe, and what every conmon gets."""
        return {"_OCI_SYNCPIPE": str(SYNC_FD), **ENVIRONMENT}


@dataclass(frozen=True)
class Report:
    """conmon's report on the sync pipe. `pid` is 0 or less if the runtime failed; `message` is then its error."""

    pid: int
    message: str = ""


def parse_report(line: bytes) -> Report | None:
    """The report in the bytes read so far; None while it is incomplete. Raises ValueError for garbage."""
    text, end, _ = line.partition(b"\n")
    if not end and not text.endswith(b"}"):
        return None
    body = json.loads(text)
    if not isinstance(body, dict) or not isinstance(body.get("data"), int):
        raise ValueError(f"conmon reported {text[:200]!r}")
    return Report(body["data"], str(body.get("message", "")))


def exit_code(text: str) -> int:
    """The exit code in an exit file (128 + n for signal n). Raises ValueError for an incomplete file."""
    return int(text.strip())
