"""Networks of users that must be there again when all records of them were lost."""

from ipaddress import ip_network
from typing import Any, Final

from e2e_rig.api import filters
from e2e_rig.waits import eventually

from chaos_rig.client import Client
from chaos_rig.scene import LOOP

_NAMES: Final = ("used", "made", "unused")
_SUBNET, _RUNS_AT, _STOPPED_AT = "10.97.0.0/24", "10.97.0.2", "10.97.0.3"
_BACK_S = 30.0


class Networked:
    """Three networks: `used` has containers; `made` had one, so that its node has it; no node has made `unused`.

    `runs` and `stopped` are two containers, the first of which is found as `name`.
    """

    def __init__(self, client: Client, runs: str, name: str, stopped: str) -> None:
        self._client, self._runs, self._name = client, runs, name
        self._known: dict[str, dict[str, Any]] = {}
        self._make("used", {"Subnet": _SUBNET})
        self._make("made")
        self._make("unused")
        client.connect("used", runs, _RUNS_AT)
        client.connect("used", stopped, _STOPPED_AT)
        client.remove(client.create("passing", LOOP, NetworkMode="made"))

    def _make(self, name: str, *pools: dict[str, str]) -> None:
        body = {"Name": name, "Labels": {"of": name}, "IPAM": {"Config": pools}}
        reply = self._client.steadily("POST", "/networks/create", body)
        assert reply.status == 201, reply
        self._known[name] = self._shown()[name]

    def _shown(self) -> dict[str, dict[str, Any]]:
        reply = self._client.steadily("GET", f"/networks?{filters(type='custom')}")
        return {one["Name"]: one for one in reply.json()}

    def _address_of(self, container: str, network: str) -> str:
        return self._client.networks(container)[self._known[network]["Id"]]

    def check(self, *names: str) -> None:
        """These networks are as they were, the others can be made again, and no address or subnet is given twice."""
        known = {name: self._known[name] for name in names}
        eventually(lambda: self._shown() == known, f"the networks {', '.join(names)}", _BACK_S)
        for name in set(_NAMES) - set(names):
            self._make(name)
        self._give_addresses()
        self._give_subnets()

    def _give_addresses(self) -> None:
        """A new container and the one that runs find each other in `used`; another one can be in `made`."""
        new = self._client.create("new", LOOP, NetworkMode="used")
        self._client.start(new)
        address = self._address_of(new, "used")
        assert address not in (_RUNS_AT, _STOPPED_AT)
        assert self._address_of(self._runs, "used") == _RUNS_AT
        assert self._client.looked_up(self._runs, "new") == [address]
        assert self._client.looked_up(new, self._name) == [_RUNS_AT]
        self._client.disconnect("used", new)
        for taken in (_RUNS_AT, _STOPPED_AT):
            body = {"Container": new, "EndpointConfig": {"IPAMConfig": {"IPv4Address": taken}}}
            reply = self._client.steadily("POST", "/networks/used/connect", body)
            assert (reply.status, reply.json()["message"]) == (403, "Address already in use")
        self._client.connect("made", new)
        assert self._address_of(new, "made") in self._client.addresses(new)
        self._client.remove(new)

    def _give_subnets(self) -> None:
        """A new network gets a subnet that no other one has."""
        self._make("later")
        subnets = [ip_network(one["IPAM"]["Config"][0]["Subnet"]) for one in self._shown().values()]
        assert not any(one.overlaps(other) for one in subnets for other in subnets if one is not other), subnets
        self._client.remove_network(self._known.pop("later")["Id"])

    def remove(self, *containers: str) -> None:
        """Remove the networks; these containers leave them first."""
        for container in containers:
            reply = self._client.steadily("POST", "/networks/used/disconnect", {"Container": container})
            assert reply.status == 200, reply
        for one in self._known.values():
            self._client.remove_network(one["Id"])
