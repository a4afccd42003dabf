"""Three NATS servers as in deploy/nats/cluster.conf, on ports of loopback, each of which may be killed and started."""

import contextlib
import os
import signal
import socket
import subprocess
import urllib.request
from pathlib import Path

from e2e_rig.ports import free_port
from e2e_rig.waits import eventually

_CONF = Path(__file__).parents[3] / "deploy" / "nats" / "cluster.conf"
_PASSWORD = "chaos"
USER = "seaway"


class Member:
    """One server."""

    def __init__(self, place: Path, number: int) -> None:
        self.name = f"nats-{number}"
        self.port, self.routes, self.http = free_port(), free_port(), free_port()
        self._place = place / self.name
        self._place.mkdir(parents=True)
        self._process: subprocess.Popen[bytes] | None = None

    def write(self) -> None:
        """Its configuration: the deployed one, with names, ports and directory of its own."""
        text = _CONF.read_text()
        for old, new in (
            ("server_name: nats-1", f"server_name: {self.name}"),
            ('"0.0.0.0:4222"', f'"127.0.0.1:{self.port}"'),
            ('"0.0.0.0:6222"', f'"127.0.0.1:{self.routes}"'),
            ('"127.0.0.1:8222"', f'"127.0.0.1:{self.http}"'),
            ('"/var/lib/seaway/nats"', f'"{self._place}/store"'),
        ):
            assert text.count(old) == 1, old
            text = text.replace(old, new)
        (self._place / "nats.conf").write_text(text)

    def start(self, environment: dict[str, str]) -> None:
        """Start it; returns at once."""
        with open(self._place / "nats.log", "ab") as out:
            words = ["nats-server", "-c", str(self._place / "nats.conf")]
            self._process = subprocess.Popen(words, stdout=out, stderr=out, env=os.environ | environment)

    def kill(self) -> None:
        """kill -9."""
        self._end(signal.SIGKILL)

    def stop(self) -> None:
        """SIGTERM."""
        self._end(signal.SIGTERM)

    def _end(self, number: signal.Signals) -> None:
        if self._process is not None:
            self._process.send_signal(number)
            self._process.wait()
            self._process = None

    def healthy(self) -> bool:
        """Whether it serves, and all that it stores is up to date."""
        url = f"http://127.0.0.1:{self.http}/healthz"
        with contextlib.suppress(OSError), urllib.request.urlopen(url, timeout=2) as reply:
            return bool(reply.status == 200)
        return False

    def listens(self) -> bool:
        """Whether it takes connections."""
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", self.port), 1):
            return True
        return False


class Cluster:
    """All three."""

    def __init__(self, place: Path) -> None:
        self.members = [Member(place, number) for number in (1, 2, 3)]
        self.password_file = place / "password"
        self.password_file.write_text(_PASSWORD)
        self._environment = {"SEAWAY_NATS_PASSWORD": _PASSWORD} | {
            f"SEAWAY_NATS_ROUTE_{number}": f"nats-route://route:{_PASSWORD}@127.0.0.1:{member.routes}"
            for number, member in enumerate(self.members, 1)
        }
        for member in self.members:
            member.write()

    @property
    def url(self) -> str:
        """What services are told."""
        return ",".join(f"nats://127.0.0.1:{member.port}" for member in self.members)

    def start(self) -> None:
        """Start all, and wait until they are one."""
        for member in self.members:
            member.start(self._environment)
        self.whole()

    def again(self, member: Member) -> None:
        """Start one that was killed."""
        member.start(self._environment)

    def whole(self) -> None:
        """Wait until all serve."""
        eventually(lambda: all(member.healthy() for member in self.members), "a whole NATS cluster", 60)

    def stop(self) -> None:
        """Stop all."""
        for member in self.members:
            member.stop()
