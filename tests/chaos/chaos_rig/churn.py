"""Containers that are connected and disconnected all the time, and what must be true of them and their networks."""

import itertools
import random
import threading
import time
from dataclasses import dataclass, field
from typing import Any

from chaos_rig.client import Client
from chaos_rig.scene import LOOP
from chaos_rig.suite import ChaosSuite

_DEAD_LINE_S = 16.0
"""Until then a request whose answer was lost may still be carried out: it would undo what is asked for after it."""
HELD = 5
"""So many containers at a time find an address in a network of a churn (a /29 with a gateway)."""


@dataclass
class Patch:
    """The networks of one node, and the containers there. `anchor` has the networks made on its node, and stays."""

    number: int
    node: str
    anchor: str = ""
    networks: list[str] = field(default_factory=list)
    containers: list[str] = field(default_factory=list)


class Churn:
    """Connects and disconnects, in a thread for each container, until `finish`, and `wanted` connects at least."""

    def __init__(self, suite: ChaosSuite, wanted: int, chance: random.Random) -> None:
        self._suite, self._wanted, self._chance = suite, wanted, chance
        self._client = Client(suite.api, 120)
        self._numbers = itertools.count()
        self._threads: list[threading.Thread] = []
        self._may_end = threading.Event()
        self._enough = threading.Event()
        self.patches: list[Patch] = []
        self.done, self.full = 0, 0
        self.failures: list[str] = []
        self._doubtful: set[tuple[str, str]] = set()
        """Where a request was repeated: its first try may have been carried out later."""
        self._rested = 0.0
        """Until then, on the monotonic clock, a request may still be carried out whose sender has given up."""

    def plant(self, node: str, count: int, networks: int = 2) -> None:
        """Containers on a node, with networks of their own: these have the node of the first container in them."""
        patch = Patch(len(self.patches), node)
        self.patches.append(patch)
        for number in range(networks):
            name = f"churn-{patch.number}-{number}"
            patch.networks.append(self._client.network(name, f"10.98.{patch.number}.{number * 8}/29"))
        first = f"churn-{patch.number}-0"
        beside = self._client.first_on(node)
        patch.anchor = self._run(f"patch-{patch.number}", first, VolumesFrom=[beside])
        self._client.remove(beside)
        assert self._client.inspect(patch.anchor)["Node"]["Name"] == node
        for network in patch.networks[1:]:
            self._client.connect(network, patch.anchor)
        for number in range(count):
            container = self._run(f"churner-{patch.number}-{number}", first)
            self._client.disconnect(patch.networks[0], container)
            patch.containers.append(container)

    def _run(self, name: str, network: str, **host: object) -> str:
        # with ndots a name without dots is not asked of the host's resolvers, which are out of reach here
        container = self._client.create(name, LOOP, NetworkMode=network, DnsOptions=["ndots:1"], **host)
        self._client.start(container)
        return container

    def begin(self) -> None:
        """Start connecting."""
        for patch in self.patches:
            for container in patch.containers:
                chance = random.Random(self._chance.random())
                thread = threading.Thread(target=self._churn, args=(patch, container, chance), daemon=True)
                thread.start()
                self._threads.append(thread)

    @property
    def goes_on(self) -> bool:
        """Whether it isn't done yet, and nothing has gone wrong in all threads."""
        return any(thread.is_alive() for thread in self._threads)

    def finish(self) -> None:
        """Let it come to its end."""
        self._may_end.set()
        for thread in self._threads:
            thread.join()
        assert not self.failures, "; ".join(self.failures)
        self._suite.whole()
        # What a killed service may still carry out shows only when it does; after its dead-line nothing comes any more.
        time.sleep(max(0.0, self._rested - time.monotonic()))
        for network, container in self._doubtful:
            if network in self._client.networks(container):
                self._client.disconnect(network, container)

    def stop(self) -> None:
        """End it early."""
        self._enough.set()
        for thread in self._threads:
            thread.join()

    def _churn(self, patch: Patch, container: str, chance: random.Random) -> None:
        client = Client(self._suite.api, 120)
        rested = dict.fromkeys(patch.networks, 0.0)
        try:
            while not self._enough.is_set() and (next(self._numbers) < self._wanted or not self._may_end.is_set()):
                network = chance.choice(patch.networks)
                if self._enough.wait(max(0.0, rested[network] - time.monotonic())):
                    return
                refused = len(client.refused)
                self._round(client, network, container)
                if any("connect" in text.split(":")[0] for text in client.refused[refused:]):
                    self._doubtful.add((network, container))
                    rested[network] = self._rested = time.monotonic() + _DEAD_LINE_S
        except Exception as error:  # a thread's end is the test's failure
            self.failures.append(f"{container} on {patch.node}: {error!r}")

    def _round(self, client: Client, network: str, container: str) -> None:
        try:
            client.connect(network, container)
        except AssertionError as error:
            if "no available IPv4 addresses" in str(error):
                self.full += 1
                return
            if "already exists in network" not in str(error) or (network, container) not in self._doubtful:
                raise
        self._doubtful.discard((network, container))
        address = client.networks(container)[network]
        assert address in client.addresses(container), f"{address} isn't an address of {container}"
        client.disconnect(network, container)
        assert address not in client.addresses(container)
        self.done += 1

    # --- afterwards

    def check(self) -> None:
        """All containers are in what they are to be in, by whatever one asks; all addresses can be had again."""
        for patch in self.patches:
            for number, network in enumerate(patch.networks):
                shown = self._shown(network)
                assert set(shown["Containers"]) == {patch.anchor}, shown
                self._fills(patch, network, f"churn-{patch.number}-{number}")

    def _fills(self, patch: Patch, network: str, name: str) -> None:
        """As many containers as fit find an address each, and each other by name."""
        inside = patch.containers[: HELD - 1]
        for container in inside:
            self._client.connect(network, container)
        addresses = {one: self._client.networks(one)[network] for one in (*inside, patch.anchor)}
        assert len(set(addresses.values())) == HELD, addresses
        names = {one: self._client.inspect(one)["Name"].lstrip("/") for one in addresses}
        for asking in addresses:
            for one, address in addresses.items():
                assert self._client.looked_up(asking, f"{names[one]}.{name}") == [address], (
                    name,
                    names[asking],
                    names[one],
                )
        for container in inside:
            self._client.disconnect(network, container)
        for container in inside:
            assert self._client.looked_up(patch.anchor, names[container]) == [], (name, names[container])

    def _shown(self, network: str) -> dict[str, Any]:
        return dict(self._client.steadily("GET", f"/networks/{network}").json())

    def uproot(self) -> None:
        """Remove everything."""
        for patch in self.patches:
            for container in (*patch.containers, patch.anchor):
                self._client.remove(container)
            for network in patch.networks:
                self._client.remove_network(network)
