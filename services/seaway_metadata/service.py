"""The metadata service: puts its parts together, from the store to what serves requests."""

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator
from typing import Final

from seaway_bus.bus import Bus
from seaway_bus.outbox import Outbox, open_outbox
from seaway_bus.transport import TransportError
from seaway_contracts import catalogue
from seaway_contracts.errors import SeawayError
from seaway_contracts.networks import NetworkRecord
from seaway_contracts.node_settings import NodeSettings
from seaway_kit import memory
from seaway_kit.service import ServiceContext
from seaway_kit.tasks import Tasks
from seaway_metadata.commands.cluster_settings import ClusterCommands
from seaway_metadata.commands.connecting import Connecting
from seaway_metadata.commands.containers import ContainerCommands
from seaway_metadata.commands.endpoints import Endpoints
from seaway_metadata.commands.joining import Joining
from seaway_metadata.commands.leases import Leases
from seaway_metadata.commands.measures import RecordCollector
from seaway_metadata.commands.network_removal import NetworkRemoval
from seaway_metadata.commands.networks import NetworkCommands
from seaway_metadata.commands.node_config import NodeConfigs
from seaway_metadata.commands.node_keys import NodeKeys
from seaway_metadata.commands.node_logins import NodeLogins
from seaway_metadata.commands.node_removal import NodeRemoval
from seaway_metadata.commands.node_requests import NodeRequests
from seaway_metadata.commands.node_settings import NodeSettingsCommands
from seaway_metadata.commands.pruning import Pruning
from seaway_metadata.commands.renaming import Renaming
from seaway_metadata.commands.reserving import Reserving
from seaway_metadata.commands.user_service import UserService
from seaway_metadata.commands.volume_service import VolumeService
from seaway_metadata.events.event_store import EventStore
from seaway_metadata.events.history import History
from seaway_metadata.kinds.anonymous_volumes import AnonymousVolumes
from seaway_metadata.kinds.cluster_settings import CLUSTER
from seaway_metadata.kinds.container_inventories import ContainerInventories, ContainerTable
from seaway_metadata.kinds.container_registering import ContainerRegistering
from seaway_metadata.kinds.containers import CONTAINERS
from seaway_metadata.kinds.identities import Identities, Tokens
from seaway_metadata.kinds.network_inventories import NetworkInventories
from seaway_metadata.kinds.networks import NETWORKS
from seaway_metadata.kinds.node_settings import NODE_SETTINGS
from seaway_metadata.kinds.node_watch import NodeWatch
from seaway_metadata.kinds.nodes import NODES
from seaway_metadata.kinds.registrations import Registrations
from seaway_metadata.kinds.subnet_record import SubnetRecord
from seaway_metadata.kinds.users import Users
from seaway_metadata.kinds.volume_inventories import VolumeInventories
from seaway_metadata.kinds.volumes import VOLUMES, volumes_of
from seaway_metadata.settings import MetadataSettings
from seaway_metadata.store.store import Store
from seaway_metadata.store.written import WrittenTable

log = logging.getLogger(__name__)
_SWEEP_S: Final = 2.0


@contextlib.asynccontextmanager
async def metadata_service(context: ServiceContext, settings: MetadataSettings) -> AsyncIterator[None]:
    """The service, running."""
    async with contextlib.AsyncExitStack() as stack:
        with memory.loading():
            service = await stack.enter_async_context(running(context.bus, context.tasks, settings))
        context.health.set("records", True)
        context.metrics.add(service.collector())
        log.info("serving %d containers", len(service.containers.index))
        yield


@contextlib.asynccontextmanager
async def running(bus: Bus, tasks: Tasks, settings: MetadataSettings) -> AsyncIterator["Metadata"]:
    """A copy of metadata on a bus."""
    await bus.prepare(settings.replicas)
    with contextlib.closing(open_outbox(settings.outbox)) as db:
        store, outbox = Store(bus, tasks, settings.replicas), Outbox(db, bus.transport, tasks)
        settings_of_nodes = await store.add_written(NODE_SETTINGS)
        cluster = ClusterCommands(await store.add_written(CLUSTER), outbox, store.doubt)
        nodes = NodeWatch(bus, await store.add(NODES), outbox, tasks, settings_of_nodes.index.get, cluster.known)
        networks = await store.add_written(NETWORKS)
        volumes = await store.add_written(VOLUMES)
        container_inventories = ContainerInventories(
            bus, networks.index.get, lambda spec: volumes_of(volumes.index, spec)
        )
        containers = await store.add_reported(CONTAINERS, container_inventories, nodes.all_up)
        subnets = SubnetRecord(
            await bus.transport.bucket(catalogue.SUBNETS_BUCKET, settings.replicas),
            networks.is_stored,
            lambda: networks.index,
            settings.default_pools,
        )
        shares = await bus.transport.bucket(catalogue.SHARES_BUCKET, settings.replicas)
        history = History(bus.transport, shares)
        inventories = NetworkInventories(bus, networks, subnets, tasks, nodes.records)
        containers.may_claim = inventories.may_claim
        anonymous = AnonymousVolumes(volumes)
        held_volumes = VolumeInventories(bus, volumes, anonymous, tasks, nodes.records, store.current)
        for asked in (inventories, held_volumes):
            bus.transport.on_reconnect(asked.doubt)
        for listener in (store.beat, inventories.beat, held_volumes.beat):
            nodes.on_beat(listener)
        of_volumes = VolumeService(bus, store, volumes, anonymous, held_volumes, containers, nodes.records, outbox)
        identities = Identities(await bus.transport.bucket(catalogue.IDENTITIES_BUCKET, settings.replicas))
        tokens = Tokens(await bus.transport.bucket(catalogue.TOKENS_BUCKET, settings.replicas))
        users = Users(await bus.transport.bucket(catalogue.USERS_BUCKET, settings.replicas))
        keys = NodeKeys(identities, users, settings.node_keys, settings.supervisor)
        of_users = UserService(bus, tasks, users, identities, outbox, keys.reload, settings.replicas)
        joining = Joining(bus, tokens, identities, nodes.known, outbox, keys.reload)
        service = Metadata(
            bus,
            tasks,
            store,
            containers,
            networks,
            subnets,
            inventories,
            of_volumes,
            nodes,
            settings_of_nodes,
            cluster,
            outbox,
            history,
            joining,
            keys,
            of_users,
        )
        await service.start()
        try:
            yield service
        finally:
            await service.stop()
            await tasks.close()


class Metadata:
    """One copy."""

    def __init__(
        self,
        bus: Bus,
        tasks: Tasks,
        store: Store,
        containers: ContainerTable,
        networks: WrittenTable[NetworkRecord],
        subnets: SubnetRecord,
        inventories: NetworkInventories,
        volumes: VolumeService,
        nodes: NodeWatch,
        node_settings: WrittenTable[NodeSettings],
        cluster: ClusterCommands,
        outbox: Outbox,
        history: History,
        joining: Joining,
        keys: NodeKeys,
        users: UserService,
    ) -> None:
        self._bus = bus
        self._tasks = tasks
        self._outbox = outbox
        self._history = history
        self._nodes = nodes
        self._joining = joining
        self._keys = keys
        self.users = users
        self.store = store
        self.containers = containers
        records, view = containers.records, containers.view
        registering = ContainerRegistering(records)
        self.registrations = Registrations(bus, records, forgotten=view.unregister)
        containers.registry = self.registrations
        endpoints = Endpoints(networks, view)
        self.volumes = volumes
        self.commands = ContainerCommands(
            bus, containers, registering, self.registrations, endpoints, volumes.mounts, store.doubt
        )
        reserving = Reserving(containers, endpoints)
        self._connecting = Connecting(bus, containers, self.commands, endpoints, reserving, store.doubt)
        self._leases = Leases(bus, containers, endpoints, reserving, store.doubt)
        self._network_table = networks
        self.network_inventories = inventories
        self.networks = NetworkCommands(bus, networks, subnets, nodes.records, outbox, store.doubt)
        self.network_removal = NetworkRemoval(bus, networks, subnets, view.index, nodes.records, outbox, store.doubt)
        self._renaming = Renaming(
            bus, registering, records, self.commands.find_current, containers.kept.keep, containers.free_claims
        )
        self.cluster = cluster
        self._node_configs = NodeConfigs(bus, node_settings, nodes.count_up, store.doubt, cluster.known)
        self._node_settings = NodeSettingsCommands(
            node_settings, nodes.record, outbox, store.doubt, self._node_configs.changed
        )
        self._removal = NodeRemoval(
            view, records, nodes, outbox, self._node_settings.reset, volumes.anonymous.forget, joining.revoke
        )

    def collector(self) -> RecordCollector:
        """The metrics of its records."""
        return RecordCollector(
            self.containers.index, self._network_table.index, self.volumes.table.index, self._nodes.records
        )

    async def start(self) -> None:
        """Load, catch up, serve."""
        networks = self._network_table
        self.store.listen(catalogue.NODE_REMOVE, lambda event: self._removal.heard(event.envelope))
        self.store.listen(catalogue.CLUSTER_UPDATE, lambda event: self.cluster.heard(event.body()))
        for channel in (catalogue.NODE_UPDATE, catalogue.NODE_REMOVE):
            self.store.listen(channel, lambda event: self._node_settings.heard(event.envelope.subject_id, event.body()))
        self.store.listen(catalogue.NETWORK_CREATE, lambda event: networks.heard(event.envelope.subject_id))
        self.store.listen(
            catalogue.NETWORK_DESTROY, lambda event: networks.heard(event.envelope.subject_id, ended=True)
        )
        for channel in (catalogue.NODE_ADMIT, catalogue.NODE_REMOVE):
            self.store.listen(channel, lambda event: self._keys.reload())
        self.users.listen(self.store.listen)
        self.volumes.listen()
        await self.store.start(self.containers.holders)
        if networks.is_empty():
            self.network_inventories.doubt()
        self.volumes.started()
        self._outbox.start()
        await self._nodes.start()
        self._tasks.eternal("sweep", self._sweep())
        self._tasks.eternal("node-keys", self._keys.run())
        self._tasks.eternal("users", self.users.run())
        self._tasks.eternal("history", self._history.run())
        await self._serve()

    async def stop(self) -> None:
        """Stop listening; write what waits, if the bus is there."""
        self._nodes.stop()
        await self.store.stop()

    async def _serve(self) -> None:
        serve = self._bus.serve
        await self.commands.serve()
        await self.networks.serve()
        await self.network_removal.serve()
        await self.volumes.serve()
        await self._joining.serve()
        await self.users.serve()
        await self._connecting.serve()
        await self._leases.serve()
        await serve(catalogue.RENAME, self._renaming.rename)
        await serve(catalogue.LIST_NODES, self._nodes.list_nodes)
        await serve(catalogue.TELL_PRUNE, Pruning(self._outbox).tell)
        check_volume = self.volumes.event_check.check
        store = EventStore(self._bus.transport, self.containers.holders, check_volume, self._history.stored)
        await serve(catalogue.STORE_EVENTS, store.store)
        await serve(catalogue.PUBLISH_EVENTS, store.publish)
        await serve(catalogue.ANNOUNCE_NODE, NodeLogins(self._outbox).announce)
        await serve(catalogue.REMOVE_NODE, self._removal.remove)
        await serve(catalogue.UPDATE_NODE, self._node_settings.update)
        await self._node_configs.serve()
        await self.cluster.serve(self._bus)
        requests = NodeRequests(
            self._bus, self.containers.view, self.containers.holders, self.containers.freshness.caught_up
        )
        await serve(catalogue.PUBLISH_LINES, requests.publish_lines)
        await serve(catalogue.KNOWN_CONTAINERS, requests.known)
        await self._bus.transport.flush()

    async def _sweep(self) -> None:
        while True:
            await asyncio.sleep(_SWEEP_S)
            try:
                await self.containers.freshness.caught_up()
                await self.registrations.sweep(self._nodes.up)
                await self.network_removal.sweep()
                await self.volumes.sweeper.sweep()
                await self._node_configs.publish_changes()
                await self._leases.sweep()
            except TransportError as error:
                log.debug("what was interrupted is finished later: %s", error)
            except (SeawayError, ValueError) as error:
                log.error("what was interrupted can't be finished: %s", error)
