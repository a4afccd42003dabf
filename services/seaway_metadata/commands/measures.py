"""The metrics of what metadata knows: its records by kind, nodes by state, and how full networks are."""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from ipaddress import ip_address, ip_network

from prometheus_client import Metric
from prometheus_client.metrics_core import GaugeMetricFamily
from prometheus_client.registry import Collector

from seaway_contracts.containers import ContainerRecord
from seaway_contracts.networks import NetworkRecord
from seaway_contracts.nodes import NodeRecord
from seaway_contracts.volumes import VolumeRecord
from seaway_metadata.kinds.addresses import pool_size
from seaway_metadata.store.index import Index


class RecordCollector(Collector):
    """Counts at each scrape."""

    def __init__(
        self,
        containers: Index[ContainerRecord],
        networks: Index[NetworkRecord],
        volumes: Index[VolumeRecord],
        nodes: Callable[[], Iterable[NodeRecord]],
    ) -> None:
        self._containers = containers
        self._networks = networks
        self._volumes = volumes
        self._nodes = nodes

    def describe(self) -> Iterable[Metric]:
        """The families without samples."""
        return record_families({}, (), {}, {})

    def collect(self) -> Iterable[Metric]:
        """The families with their present samples."""
        states: Counter[str] = Counter(record.state for record in self._nodes())
        records = {
            "container": len(self._containers),
            "network": len(self._networks),
            "volume": len(self._volumes),
            "node": states.total(),
        }
        return record_families(records, self._networks, used_addresses(self._containers), states)


def used_addresses(containers: Iterable[ContainerRecord]) -> Mapping[str, list[str]]:
    """The addresses that containers have, by network id."""
    found: dict[str, list[str]] = {}
    for record in containers:
        for endpoint in record.spec.network.endpoints:
            held = filter(None, (endpoint.claimed_ipv4, endpoint.claimed_ipv6))
            found.setdefault(endpoint.network_id, []).extend(held)
    return found


def record_families(
    records: Mapping[str, int],
    networks: Iterable[NetworkRecord],
    used: Mapping[str, list[str]],
    states: Mapping[str, int],
) -> Iterator[Metric]:
    """`records` by kind, `used` addresses by network id, nodes by `states`."""
    counts = GaugeMetricFamily("seaway_metadata_records", "Records by kind.", labels=["kind"])
    for kind, number in records.items():
        counts.add_metric([kind], number)
    yield counts
    nodes = GaugeMetricFamily("seaway_metadata_nodes", "Nodes that are up or down.", labels=["state"])
    for state in ("up", "down"):
        nodes.add_metric([state], states.get(state, 0))
    yield nodes
    labels = ["network", "subnet"]
    size = GaugeMetricFamily("seaway_network_addresses", "Addresses that containers can have.", labels=labels)
    taken = GaugeMetricFamily("seaway_network_addresses_used", "Addresses that containers have.", labels=labels)
    for network in networks:
        if network.name and not network.removed:
            _add_pools(size, taken, network, used.get(network.id, ()))
    yield size
    yield taken


def _add_pools(size: GaugeMetricFamily, taken: GaugeMetricFamily, network: NetworkRecord, used: Iterable[str]) -> None:
    addresses = [ip_address(text) for text in used]
    for pool in network.pools:
        subnet = ip_network(pool.subnet)
        size.add_metric([network.name, pool.subnet], pool_size(pool))
        taken.add_metric([network.name, pool.subnet], sum(address in subnet for address in addresses))
