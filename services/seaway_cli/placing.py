"""`seaway place`: has the scheduler explain where a container would go. Nothing is reserved or made."""

import secrets
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from seaway_cli import node_settings, run_options
from seaway_cli.errors import CliError, usage
from seaway_cli.layout import Layout
from seaway_cli.permissions import API
from seaway_contracts.catalogue import EXPLAIN_PLACE, GET_CONTAINER, GET_NETWORK, GET_VOLUME, LIST_CONTAINERS
from seaway_contracts.channels import CallChannel, Q, R
from seaway_contracts.containers import Resources
from seaway_contracts.errors import Code, SeawayError
from seaway_contracts.networks import NetworkRecord, NetworkRef
from seaway_contracts.placement import Condition, PlacementExplanation, PlaceRequest
from seaway_contracts.records import ListContainers, ResolveContainer
from seaway_contracts.volumes import VolumeRef
from seaway_docker.errors import InvalidParameter
from seaway_docker.networks import is_user_defined, network_mode
from seaway_docker.placement import Expression, Placement, placement

_OF_CONTAINER = "container:"


@dataclass(frozen=True, kw_only=True)
class RunOptions:
    """The options of `docker run` that play a part in placement, as they were given."""

    image: str
    env: tuple[str, ...] = ()
    labels: tuple[str, ...] = ()
    memory: str = "0"
    memory_reservation: str = "0"
    cpus: str = "0"
    cpu_period: int = 0
    cpu_quota: int = 0
    gpus: str = ""
    publish: tuple[str, ...] = ()
    volumes: tuple[str, ...] = ()
    mounts: tuple[str, ...] = ()
    volumes_from: tuple[str, ...] = ()
    networks: tuple[str, ...] = ()
    platform: str = ""
    runtime: str = ""


def explain(layout: Layout, options: RunOptions) -> PlacementExplanation:
    """Where a container with these options would go, and why. Raises CliError."""
    request = place_request(options)
    cluster = _Cluster(layout)
    try:
        node = _required_node(cluster.places(options))
        return cluster.call(EXPLAIN_PLACE, request.model_copy(update={"node": node}))
    except SeawayError as error:
        raise CliError(error.message) from None


def place_request(options: RunOptions) -> PlaceRequest:
    """What the scheduler is asked, without the node that networks and volumes require. Raises CliError."""
    labels = run_options.labels(options.labels)
    try:
        asked = placement(options.env, labels)
    except InvalidParameter as error:
        raise usage(str(error)) from None
    return PlaceRequest(
        container_id=secrets.token_hex(32),
        resources=_resources(options, asked),
        labels={**labels, **asked.labels},
        networks=options.networks,
        host_ports=tuple(port for text in options.publish for port in run_options.host_ports(text)),
        runtime=options.runtime,
        platform=options.platform,
        image_ref=options.image,
        constraints=_conditions(asked.constraints),
        affinities=_conditions(asked.affinities),
    )


def _resources(options: RunOptions, asked: Placement) -> Resources:
    if options.cpu_period < 0 or options.cpu_quota < 0:
        raise usage("--cpu-period and --cpu-quota can't be negative")
    return Resources(
        memory=run_options.memory("--memory", options.memory),
        memory_reservation=run_options.memory("--memory-reservation", options.memory_reservation),
        nano_cpus=run_options.cpus("--cpus", options.cpus),
        cpu_reservation=asked.cpu_reservation,
        cpu_period=options.cpu_period,
        cpu_quota=options.cpu_quota,
        device_requests=(run_options.gpus(options.gpus),) if options.gpus else (),
    )


def _conditions(expressions: Iterable[Expression]) -> tuple[Condition, ...]:
    return tuple(Condition(key=one.key, value=one.value, equal=one.equal, soft=one.soft) for one in expressions)


def _required_node(places: Iterable[tuple[str, str]]) -> str:
    """The node of all these things; empty without any. Raises CliError where they are on several."""
    nodes: dict[str, str] = {}
    for thing, node in places:
        nodes.setdefault(node, thing)
    if len(nodes) > 1:
        where = " and ".join(f"{thing} is on node {node}" for node, thing in nodes.items())
        raise CliError(f"no node can have the container: {where}")
    return next(iter(nodes), "")


class _Cluster:
    """What metadata knows of the things that options name."""

    def __init__(self, layout: Layout) -> None:
        self._layout = layout

    def call(self, channel: CallChannel[Q, R], request: Q) -> R:
        """Ask as the API does. Raises SeawayError, CliError."""
        return node_settings.call(self._layout, API, channel, request)

    def places(self, options: RunOptions) -> Iterator[tuple[str, str]]:
        """Each volume, network and container that binds the new container to a node, and that node."""
        names = (*map(run_options.volume, options.volumes), *map(run_options.mounted_volume, options.mounts))
        for name in filter(None, names):
            if node := self._node_of_volume(name):
                yield f"volume {name}", node
        networks = [network_mode(run_options.network(text)) for text in options.networks]
        for name in filter(is_user_defined, networks):
            network = self.call(GET_NETWORK, NetworkRef(ref=name)).network
            if network.nodes and self._is_used(network):
                yield f"network {name}", network.nodes[0]
        joined = [name.removeprefix(_OF_CONTAINER) for name in networks if name.startswith(_OF_CONTAINER)]
        for ref in (*joined, *(text.partition(":")[0] for text in options.volumes_from)):
            yield f"container {ref}", self.call(GET_CONTAINER, ResolveContainer(ref=ref)).node

    def _node_of_volume(self, name: str) -> str:
        """Empty for one that would be made, or has not been used yet."""
        try:
            return self.call(GET_VOLUME, VolumeRef(name=name)).volume.node
        except SeawayError as error:
            if error.code is not Code.NOT_FOUND:
                raise
            return ""

    def _is_used(self, network: NetworkRecord) -> bool:
        """Whether a container has it: without one, the network goes to the node of the next."""
        after = ""
        while True:
            page = self.call(LIST_CONTAINERS, ListContainers(after=after))
            endpoints = (one for record in page.containers for one in record.spec.network.endpoints)
            if any(one.network_id == network.id for one in endpoints):
                return True
            after = page.next
            if not after:
                return False
