"""A client that tries again, as a careful program would, and what it learned on the way."""

import http.client
import json
import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from e2e_rig.api import Api, Reply, filters

PORT = "80/tcp"
_AGAIN_S = 0.05
_FOR_NOW = (503, 504)
_LOST = b"was not started, as the agent ended meanwhile; make another"
_NOT_CONNECTED = b"is not connected to network"
_CLAIM_KEPT_S = 31.0


@dataclass
class Client:
    """The Engine API, patiently. `refused` holds every answer and error that made it try again."""

    api: Api
    patience_s: float = 45.0  # more than _CLAIM_KEPT_S: for so long the name of a volume may be kept
    refused: list[str] = field(default_factory=list)

    def steadily(self, method: str, path: str, body: object = None) -> Reply:
        """Repeat a request until it is answered, and not by a lost connection or that it can't be done now."""
        reply = self.unless(lambda: False, method, path, body)
        assert reply is not None
        return reply

    def unless(self, done: Callable[[], bool], method: str, path: str, body: object = None) -> Reply | None:
        """The same for a request that isn't to be repeated once it has had its effect; None where it has."""
        deadline = time.monotonic() + self.patience_s
        while True:
            try:
                reply = self.api.request(method, path, body, timeout=self.patience_s)
            except (OSError, http.client.HTTPException) as error:
                self.refused.append(f"{method} {path}: {error!r}")
            else:
                if reply.status < 500 or _NOT_CONNECTED in reply.body:
                    return reply
                self.refused.append(f"{method} {path}: {reply.status} {reply.body.decode()}")
                assert reply.status in _FOR_NOW or _LOST in reply.body, self.refused[-1]
            assert time.monotonic() < deadline, self.refused[-3:]
            time.sleep(_AGAIN_S)
            if done():
                return None

    def broken_off(self, method: str, path: str, body: object = None) -> None:
        """A request whose answer may break off at any point."""
        try:
            self.api.request(method, path, body, timeout=self.patience_s)
        except (OSError, http.client.HTTPException) as error:
            self.refused.append(f"{method} {path}: {error!r}")

    def create(self, name: str, script: str, labels: dict[str, str] | None = None, **host: object) -> str:
        """A container that runs a shell script; its id."""
        body: dict[str, object] = {"Image": "busybox", "Cmd": ["sh", "-c", script], "ExposedPorts": {PORT: {}}}
        body["Labels"] = labels or {}
        body["HostConfig"] = {"NetworkMode": "none", **host}
        return self.make(name, body)

    def make(self, name: str, body: dict[str, object]) -> str:
        """A container of this name, whatever became of an earlier try; its id.

        Where that was carried out and its answer lost, it is there. Where it was broken off, the name may be kept for
        it for a while.
        """
        limit = time.monotonic() + self.patience_s + _CLAIM_KEPT_S
        while True:
            reply = self.steadily("POST", f"/containers/create?name={name}", body)
            if reply.status == 201:
                return str(reply.json()["Id"])
            assert reply.status == 409, reply
            self.refused.append(f"create {name}: {reply.body.decode()}")
            found = self.steadily("GET", f"/containers/{name}/json")
            if found.status == 200:
                return str(found.json()["Id"])
            assert time.monotonic() < limit, reply
            time.sleep(_AGAIN_S * 10)

    def first_on(self, node: str) -> str:
        """A container that was placed on that node."""
        elsewhere = []
        for number in range(32):
            container = self.create(f"anchor-{number}", "exit 0", Memory=64 << 20)
            if self.inspect(container)["Node"]["Name"] == node:
                for other in elsewhere:
                    self.remove(other)
                return container
            elsewhere.append(container)
        raise AssertionError(f"no container was placed on {node}")

    def start(self, container: str, *, lapsing: bool = False) -> int:
        """Run it: where an answer was lost, it is looked up whether the container has run. How often that was asked.

        0 for one that may lapse, as its create was refused and only its name was there, where it did.
        """
        refused, path = len(self.refused), f"/containers/{container}/start"
        reply = self.unless(lambda: self.has_run(container), "POST", path)
        if lapsing and reply is not None and reply.status == 404:
            return 0
        assert reply is None or reply.status in (204, 304), (reply, self.refused[refused:])
        return sum(path in text for text in self.refused[refused:]) + (reply is not None)

    def has_run(self, container: str) -> bool:
        """Whether it has been started."""
        return not str(self.state(container)["StartedAt"]).startswith("0001")

    def wait(self, container: str) -> int:
        """Its exit code, once it has ended."""
        reply = self.steadily("POST", f"/containers/{container}/wait")
        assert reply.status == 200, reply
        return int(reply.json()["StatusCode"])

    def remove(self, container: str) -> None:
        """Remove it by force, with its anonymous volumes."""
        reply = self.steadily("DELETE", f"/containers/{container}?force=1&v=1")
        assert reply.status in (204, 404), reply

    def network(self, name: str, subnet: str) -> str:
        """A network of this name and subnet, whatever became of an earlier try; its id."""
        body = {"Name": name, "IPAM": {"Config": [{"Subnet": subnet}]}}
        limit = time.monotonic() + self.patience_s
        while True:
            reply = self.steadily("POST", "/networks/create", body)
            if reply.status == 201:
                return str(reply.json()["Id"])
            self.refused.append(f"network {name}: {reply.body.decode()}")
            found = self.steadily("GET", f"/networks/{name}")
            if found.status == 200:
                return str(found.json()["Id"])
            assert time.monotonic() < limit, reply
            time.sleep(_AGAIN_S * 10)

    def remove_network(self, network: str) -> None:
        """Remove it; it may be gone by an earlier try."""
        reply = self.steadily("DELETE", f"/networks/{network}")
        assert reply.status in (204, 404), reply

    def connect(self, network: str, container: str, address: str = "") -> None:
        """Connect a container to a network in which it is not; an earlier try may have done so.

        An address that a killed process did not free is kept for a while.
        """
        config = {"IPAMConfig": {"IPv4Address": address}} if address else {}
        body = {"Container": container, "EndpointConfig": config}
        refused, limit = len(self.refused), time.monotonic() + _CLAIM_KEPT_S
        while True:
            reply = self.steadily("POST", f"/networks/{network}/connect", body)
            if b"Address already in use" not in reply.body or not address or time.monotonic() > limit:
                break
            time.sleep(_AGAIN_S * 10)
        done = reply.status == 403 and len(self.refused) > refused and network in self.networks(container)
        assert reply.status == 200 or done, (reply, self.refused[refused:])

    def disconnect(self, network: str, container: str) -> None:
        """Disconnect a container from a network in which it is; an earlier try may have done so."""
        refused = len(self.refused)
        reply = self.steadily("POST", f"/networks/{network}/disconnect", {"Container": container})
        done = _NOT_CONNECTED in reply.body and len(self.refused) > refused and network not in self.networks(container)
        assert reply.status == 200 or done, (reply, self.refused[refused:])

    def networks(self, container: str) -> dict[str, str]:
        """Its IPv4 addresses by the ids of its networks."""
        endpoints = self.inspect(container)["NetworkSettings"]["Networks"].values()
        return {endpoint["NetworkID"]: endpoint["IPAddress"] for endpoint in endpoints}

    def addresses(self, container: str) -> set[str]:
        """The addresses that its interfaces really have."""
        words = ["nsenter", f"--net=/proc/{self.state(container)['Pid']}/ns/net", "ip", "-json", "address"]
        rows = json.loads(subprocess.run(words, check=True, capture_output=True).stdout)
        return {address["local"] for row in rows for address in row["addr_info"]}

    def looked_up(self, container: str, name: str) -> list[str]:
        """The IPv4 addresses that a container's resolver finds for a name."""
        pid = self.state(container)["Pid"]
        words = ["nsenter", f"--net=/proc/{pid}/ns/net", "dig", "+short", "+tries=3", "@127.0.0.11", name, "A"]
        return subprocess.run(words, check=True, capture_output=True, text=True).stdout.split()

    def inspect(self, container: str) -> dict[str, Any]:
        """`docker inspect`."""
        reply = self.steadily("GET", f"/containers/{container}/json")
        assert reply.status == 200, reply
        return dict(reply.json())

    def state(self, container: str) -> dict[str, Any]:
        """What `docker inspect` says of its state."""
        return dict(self.inspect(container)["State"])

    def history(self, since: float, **wanted: str | list[str]) -> list[dict[str, Any]]:
        """All events since then, of containers unless another `type` is wanted."""
        asked = filters(**{"type": "container", **wanted})
        query = f"since={since:.9f}&until={time.time() + 0.001:.9f}&{asked}"
        reply = self.steadily("GET", f"/events?{query}")
        assert reply.status == 200, reply
        return [json.loads(line) for line in reply.body.splitlines()]

    def told(self, since: float, container: str) -> list[str]:
        """The actions of one container's events, in order."""
        return [event["Action"] for event in self.history(since, container=container)]
