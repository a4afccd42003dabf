"""Where a suite keeps its files."""

from dataclasses import dataclass
from pathlib import Path
from typing import Final

ROOT: Final = Path("/var/lib/seaway")
RUN: Final = Path("/run/seaway")
"""The directories of a suite for which none are given."""
_SOCKET_PATH_LIMIT: Final = 107


@dataclass(frozen=True)
class Layout:
    """The two directories of a suite: `root` is state that lasts, `run` is gone after a reboot."""

    root: Path
    run: Path

    @property
    def marker(self) -> Path:
        """What makes `root` a suite's root."""
        return self.root / "suite.json"

    @property
    def run_marker(self) -> Path:
        """What makes `run` a suite's run directory."""
        return self.run / "suite.json"

    @property
    def secrets(self) -> Path:
        """Passwords at the embedded NATS server, one file per user."""
        return self.root / "secrets"

    @property
    def node_keys(self) -> Path:
        """The public keys of nodes that joined by tokens, as metadata keeps it for the embedded NATS server."""
        return self.root / "node_keys.json"

    @property
    def joined(self) -> Path:
        """Of a machine that joined by a token: its key, and the agent's settings."""
        return self.root / "join"

    @property
    def node_key(self) -> Path:
        """The seed of its key. `seaway join` writes it first, and `agent_config` last."""
        return self.joined / "nkey"

    @property
    def agent_config(self) -> Path:
        """The settings of the agent of a machine that joined."""
        return self.joined / "agent.toml"

    @property
    def nats_store(self) -> Path:
        """JetStream's files."""
        return self.root / "nats"

    @property
    def nats_config(self) -> Path:
        """The embedded NATS server's configuration."""
        return self.run / "nats" / "nats.conf"

    @property
    def control(self) -> Path:
        """The supervisor's socket."""
        return self.run / "control.sock"

    @property
    def logs(self) -> Path:
        """One log per service."""
        return self.run / "log"

    @property
    def streams(self) -> Path:
        """Where the services meet for byte streams."""
        return self.run / "streams"

    @property
    def locks(self) -> tuple[Path, Path]:
        """Held by the supervisor and its services for as long as one of them lives."""
        return self.run / "seaway.lock", self.root / "seaway.lock"

    def log(self, service: str) -> Path:
        """One service's log."""
        return self.logs / f"{service}.log"

    def secret(self, user: str) -> Path:
        """The file with one NATS user's password."""
        return self.secrets / user

    @property
    def default_host(self) -> str:
        """Where the API listens if nothing else was asked for."""
        return f"unix://{self.run}/docker.sock"

    @property
    def too_long(self) -> bool:
        """Whether sockets can't be made in `run` (sun_path has 108 bytes)."""
        return len(str(self.run / "control.sock").encode()) > _SOCKET_PATH_LIMIT
