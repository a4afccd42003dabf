"""Three NATS servers as in deploy/nats/cluster.conf, each on a machine of its own, as the network goes.

Each may be killed and started, and cut off: then nobody hears it any more, and nobody hangs up.
"""

import contextlib
import json
import os
import re
import signal
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Iterable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

from e2e_rig.waits import eventually

from seaway_cli.nats_config import outside
from seaway_cli.permissions import USERS, agent_user
from seaway_testing.nats_server import for_clusters

_CONF = Path(__file__).parents[3] / "deploy" / "nats" / "cluster.conf"
_PASSWORD = "chaos"
_HOLD = ["setpriv", "--pdeathsig", "KILL", "unshare", "--net", "sleep", "infinity"]
_BRIDGE, _NET = "nats0", "198.18.10"
_PORT, _ROUTES, _HTTP = 4222, 6222, 8222
_WHOLE_S = 90.0
_TALK = ("consumer leader", "Route", "route", "Healthcheck failed")
USER = "seaway"
"""Of the tests' own: may do everything in the services' account."""
NODE = "n1"
_USERS = (*USERS, agent_user(NODE))


class Member:
    """One server, in a network namespace with one cable."""

    def __init__(self, place: Path, number: int) -> None:
        self.name, self.address = f"nats-{number}", f"{_NET}.{10 + number}"
        self._cable = f"nats{number}"
        self._place = place / self.name
        self._place.mkdir(parents=True)
        self._process: subprocess.Popen[bytes] | None = None
        self._from: list[str] = []
        self._machine = subprocess.Popen(_HOLD)
        self._wire()
        self._write()

    def _wire(self) -> None:
        ours, space = os.readlink("/proc/thread-self/ns/net"), Path(f"/proc/{self._machine.pid}/ns/net")
        eventually(lambda: os.readlink(space) != ours, "a network namespace")
        _ip(f"link add {self._cable} type veth peer name eth0 netns {self._machine.pid}")
        _ip(f"link set {self._cable} master {_BRIDGE} up")
        for words in (f"addr add {self.address}/24 dev eth0", "link set eth0 up", "link set lo up"):
            self._inside_ip(words)

    @property
    def _inside(self) -> list[str]:
        return ["nsenter", f"--net=/proc/{self._machine.pid}/ns/net"]

    def _inside_ip(self, words: str) -> None:
        subprocess.run([*self._inside, "ip", *words.split()], check=True)

    @property
    def url(self) -> str:
        """Where clients reach this one alone."""
        return f"nats://{self.address}:{_PORT}"

    def _write(self) -> None:
        """Its configuration: the deployed one, with name, addresses and directory of its own."""
        text = _CONF.read_text()
        for old, new in (
            ("server_name: nats-1", f"server_name: {self.name}"),
            ('"127.0.0.1:8222"', f'"{self.address}:{_HTTP}"'),
            ('"/var/lib/seaway/nats"', f'"{self._place}/store"'),
        ):
            assert text.count(old) == 1, old
            text = text.replace(old, new)
        (self._place / "nats.conf").write_text(text)
        admin = f'{{"user": "{USER}", "password": "{_PASSWORD}"}},'
        (self._place / "users.conf").write_text(outside([NODE]).replace("users: [", f"users: [\n{admin}", 1))

    def start(self) -> None:
        """Start it; returns at once."""
        routes = {
            f"SEAWAY_NATS_ROUTE_{number}": f"nats-route://route:{_PASSWORD}@{_NET}.{10 + number}:{_ROUTES}"
            for number in (1, 2, 3)
        }
        passwords = {f"SEAWAY_NATS_{re.sub(r'[^A-Z0-9]', '_', user.upper())}": f"of-{user}" for user in _USERS}
        environment = os.environ | routes | passwords | {"SEAWAY_NATS_ROUTE_PASSWORD": _PASSWORD}
        with open(self._place / "nats.log", "ab") as out:
            words = [*self._inside, for_clusters(), "-c", str(self._place / "nats.conf")]
            self._process = subprocess.Popen(words, stdout=out, stderr=out, env=environment)

    def kill(self) -> None:
        """kill -9."""
        assert self._process is not None and self._process.poll() is None
        self._process.send_signal(signal.SIGKILL)
        self._process.wait()
        self._process = None

    def cut(self) -> None:
        """Pull its cable."""
        _ip(f"link set {self._cable} down")

    def part(self, others: Iterable["Member"]) -> None:
        """It and the others don't reach each other any more; clients reach them all."""
        self._from = [other.address for other in others]
        for address in self._from:
            self._inside_ip(f"route add blackhole {address}")

    def join(self) -> None:
        """They do again."""
        for address in self._from:
            self._inside_ip(f"route del blackhole {address}")
        self._from = []

    def sees(self, other: "Member") -> bool:
        """Whether it has a route to another one."""
        with self._ask("routez") as reply:
            return any(route.get("remote_name") == other.name for route in json.load(reply).get("routes") or ())

    def mend(self) -> None:
        """Whatever was done to it is over."""
        _ip(f"link set {self._cable} up")
        if self._process is None:
            self.start()

    def log(self) -> str:
        """The end of what it has said, without what is said of each consumer and each try to connect."""
        lines = (self._place / "nats.log").read_text().splitlines()
        telling = [line for line in lines if not any(word in line for word in _TALK)]
        return "\n".join([f"--- {self.name}", *telling[-40:]])

    def close(self) -> None:
        """For good."""
        if self._process is not None:
            self.kill()
        self._machine.kill()
        self._machine.wait()

    def trouble(self) -> str:
        """Why it doesn't serve. Of what it stores `streams` tells: in nats-server 2.10 a whole `/healthz` mends what it
        looks at, and takes from a member that has just been started what it was about to begin with.
        """
        try:
            with self._ask("healthz?js-server-only=true") as reply:
                return "" if reply.status == 200 else f"{self.name}: {reply.status}"
        except urllib.error.HTTPError as error:
            return f"{self.name}: {error.read().decode()}"
        except OSError as error:
            return f"{self.name}: {error}"

    def streams(self) -> dict[str, dict[str, Any]]:
        """The streams that it knows; `cluster` tells of their copies, as their leader sees them."""
        with contextlib.suppress(OSError), self._ask("jsz?accounts=true&streams=true") as reply:
            accounts = json.load(reply).get("account_details", ())
            return {stream["name"]: stream for account in accounts for stream in account.get("stream_detail", ())}
        return {}

    def _ask(self, path: str) -> AbstractContextManager[Any]:
        return urllib.request.urlopen(f"http://{self.address}:{_HTTP}/{path}", timeout=2)


class Cluster:
    """All three."""

    def __init__(self, place: Path) -> None:
        _ip(f"link add {_BRIDGE} type bridge")
        _ip(f"addr add {_NET}.1/24 dev {_BRIDGE}")
        _ip(f"link set {_BRIDGE} up")
        self.members = [Member(place, number) for number in (1, 2, 3)]
        self.password_file = place / "password"
        self.password_file.write_text(_PASSWORD)
        self.passwords = place / "passwords"
        self.passwords.mkdir()
        for user in _USERS:
            (self.passwords / user).write_text(f"of-{user}")

    @property
    def url(self) -> str:
        """What services are told."""
        return ",".join(member.url for member in self.members)

    @property
    def monitor(self) -> str:
        """Where one of them tells of all."""
        return f"http://{self.members[0].address}:{_HTTP}"

    def start(self) -> None:
        """Start all, and wait until they are one."""
        for member in self.members:
            member.start()
        self.whole()

    def whole(self) -> None:
        """Wait until all serve."""
        limit = time.monotonic() + _WHOLE_S
        while troubles := self._troubles():
            assert time.monotonic() < limit, troubles
            time.sleep(0.1)

    def _troubles(self) -> list[str]:
        """Members that don't serve; then streams without a leader, or with a copy that isn't up to date."""
        troubles = [text for member in self.members if (text := member.trouble())]
        known = {} if troubles else {member.name: member.streams() for member in self.members}
        for stream in sorted({name for streams in known.values() for name in streams}):
            seen = {member: streams[stream]["cluster"] for member, streams in known.items() if stream in streams}
            led = [cluster for member, cluster in seen.items() if cluster.get("leader") == member]
            copies = led[0].get("replicas", ()) if len(led) == 1 else ()
            if len(seen) < len(known) or [bool(copy.get("current")) for copy in copies] != [True] * (len(known) - 1):
                troubles.append(f"{stream}: {seen}")
        return troubles

    def close(self) -> None:
        """Stop all, and take the network away."""
        for member in self.members:
            member.close()
        _ip(f"link del {_BRIDGE}")


def _ip(words: str) -> None:
    subprocess.run(["ip", *words.split()], check=True)
