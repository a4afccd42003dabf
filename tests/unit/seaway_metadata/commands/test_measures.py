"""The metrics of metadata's records."""

from seaway_contracts.containers import ContainerRecord, EndpointSpec
from seaway_contracts.networks import NetworkRecord, Pool
from seaway_metadata.commands.measures import RecordCollector, record_families, used_addresses
from seaway_metadata.kinds.containers import CONTAINERS
from seaway_metadata.kinds.networks import NETWORKS
from seaway_metadata.kinds.volumes import VOLUMES
from seaway_metadata.store.index import Index
from seaway_testing import builders

FRONT, BACK = "a" * 64, "b" * 64


def network(identifier: str, name: str, *subnets: str, removed: bool = False) -> NetworkRecord:
    pools = tuple(Pool(subnet=subnet) for subnet in subnets)
    return NetworkRecord(id=identifier, name=name, created_ns=1, pools=pools, removed=removed)


def container(seed: int, *endpoints: EndpointSpec) -> ContainerRecord:
    networking = builders.networking().model_copy(update={"endpoints": endpoints})
    return ContainerRecord(spec=builders.spec(seed, network=networking), node="n1")


def test_records_nodes_and_addresses_are_counted() -> None:
    containers, networks, volumes = Index(CONTAINERS), Index(NETWORKS), Index(VOLUMES)
    containers.put(
        container(1, EndpointSpec(network="front", network_id=FRONT, claimed_ipv4="10.1.0.2", claimed_ipv6="fd00::2"))
    )
    containers.put(container(2, EndpointSpec(network="front", network_id=FRONT, claimed_ipv4="10.1.0.3")))
    containers.put(container(3, EndpointSpec(network="bridge")))
    networks.put(network(FRONT, "front", "10.1.0.0/29", "fd00::/120"))
    networks.put(network(BACK, "back", "10.2.0.0/24", removed=True))
    nodes = [builders.node_record("n1"), builders.node_record("n2", up=False)]
    collector = RecordCollector(containers, networks, volumes, lambda: iter(nodes))
    found = {
        (sample.name, *sample.labels.values()): sample.value for one in collector.collect() for sample in one.samples
    }
    assert found == {
        ("seaway_metadata_records", "container"): 3,
        ("seaway_metadata_records", "network"): 2,
        ("seaway_metadata_records", "volume"): 0,
        ("seaway_metadata_records", "node"): 2,
        ("seaway_metadata_nodes", "up"): 1,
        ("seaway_metadata_nodes", "down"): 1,
        ("seaway_network_addresses", "front", "10.1.0.0/29"): 6,
        ("seaway_network_addresses_used", "front", "10.1.0.0/29"): 2,
        ("seaway_network_addresses", "front", "fd00::/120"): 255,
        ("seaway_network_addresses_used", "front", "fd00::/120"): 1,
    }
    assert [one.name for one in collector.describe()] == [one.name for one in record_families({}, (), {}, {})]


def test_addresses_that_are_only_asked_for_are_not_used() -> None:
    assert used_addresses([container(1, EndpointSpec(network="front", network_id=FRONT, ipv4_address="10.1.0.2"))]) == {
        FRONT: []
    }
