"""A Seaway suite, started by `seaway up` as a user would."""

import contextlib
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from e2e_rig.engine import Daemon, Engine
from e2e_rig.waits import eventually
from seaway_cli import control
from seaway_testing.ports import free_port

COMMANDS = Path(sys.executable).parent


def seaway(*words: str, timeout: float = 90, environment: dict[str, str] | None = None) -> "Finished":
    """Run `seaway …` to its end."""
    return subprocess.run(
        [str(COMMANDS / "seaway"), *words], capture_output=True, text=True, timeout=timeout, env=environment
    )


Finished = subprocess.CompletedProcess[str]


class Seaway(Engine):
    """One suite; `up` are more options for `seaway up`."""

    noise = (
        r"/\.cache(/seccomp(/|$)|$)",  # crun keeps one compiled filter per profile
        r"^/root/nats/",
        r"^/root/secrets/agent\.",  # of a node that was added
        r"^/root/node_keys\.json$",  # of nodes that have joined
        r"^/root/image/blobs/sha256/ID$",
        r"^/root/image/sources\.jsonl$",  # hints, from the first pull or push on
        r"/layers/ID(/|$)",  # of images that are there
        r"/volumes/(?!ID(/|$)|\.)",  # whoever names a volume removes it
        r"/builds(/w)?$|/builds/(store|mounts|used\.json)",  # the cache of builds
    )

    def __init__(self, directory: Path, node: str = "n1", up: tuple[str, ...] = ()) -> None:
        super().__init__(directory)
        self.node = node
        self.tcp = f"127.0.0.1:{free_port()}"
        self.tcp_outside = ""
        self._up = up
        self._supervisor: Daemon | None = None

    @property
    def directories(self) -> tuple[Path, ...]:
        return self.run, self.root

    def start(self) -> None:
        words = [str(COMMANDS / "seaway"), "up", "--root", str(self.root), "--run", str(self.run), "--node", self.node]
        words += ["--host", self.host, "--host", f"tcp://{self.tcp}", *self._up]
        self._said.unlink(missing_ok=True)
        supervisor = Daemon(words, self._said, os.environ | {"PYTHONUNBUFFERED": "1"})
        supervisor.until(self._ready, "`seaway up`", 40)
        self._supervisor = supervisor

    def _ready(self) -> bool:
        return "Seaway is ready" in self._said.read_text() and self.serves()

    @property
    def _said(self) -> Path:
        return self.run.parent / "up.log"

    def stop(self) -> None:
        if self._supervisor is not None:
            self._supervisor.stop()
            self._supervisor = None

    def purge(self) -> None:
        self.stop()
        if not (self.root / "suite.json").exists():
            return
        done = seaway("purge", "--root", str(self.root), "--run", str(self.run))
        assert done.returncode == 0, done.stderr

    @property
    def supervisor_pid(self) -> int:
        """The process that `seaway up` is."""
        assert self._supervisor is not None, "the suite isn't started"
        return self._supervisor.pid

    def rows(self) -> list[dict[str, Any]]:
        """What `seaway status --json` says, without a process for each look."""
        with contextlib.suppress(control.NotRunning):
            return list(control.ask(self.run / "control.sock", "status")["services"])
        return []

    def row(self, service: str) -> dict[str, Any]:
        """One service's row."""
        return next(row for row in self.rows() if row["service"] == service)

    def processes(self) -> dict[str, int]:
        return {str(row["service"]): int(row["pid"]) for row in self.rows()}

    @property
    def token(self) -> str:
        """What sets this suite's names in the kernel apart."""
        return str(self._identity()["token"])

    @property
    def nats_url(self) -> str:
        """The embedded NATS server."""
        return f"nats://127.0.0.1:{self._identity()['nats_port']}"

    def _identity(self) -> dict[str, Any]:
        return dict(json.loads((self.root / "suite.json").read_text()))

    def secret(self, user: str) -> str:
        """A user's password at the embedded NATS server."""
        return (self.root / "secrets" / user).read_text().strip()

    @property
    def cgroup_parent(self) -> str:
        return f"seaway/{self.token}"

    def messages(self, service: str, level: str = "") -> list[str]:
        """What a service has logged, of one level or all."""
        lines = map(json.loads, (self.run / "log" / f"{service}.log").read_text().splitlines())
        return [line["message"] for line in lines if level in ("", line["level"])]

    def logs(self) -> list[Path]:
        return [
            path
            for path in (self.run.parent / "up.log", *sorted((self.run / "log").glob("*.log")))
            if path.stem != "nats"
        ]

    def restarted(self, service: str, old_pid: int, timeout: float = 20) -> int:
        """The pid of a service's next process, as soon as it is ready."""

        def fresh() -> int:
            row = self.row(service)
            return int(row["pid"]) if row["state"] == "ready" and row["pid"] not in (old_pid, None, 0) else 0

        return eventually(fresh, f"a new {service}", timeout)
