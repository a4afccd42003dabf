"""Puts one node's agent together."""

import asyncio
import contextlib
import logging
import os
import secrets
import time
from collections.abc import AsyncIterator, Collection
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from ipaddress import IPv4Network
from pathlib import Path
from typing import Final

from seaway_agent.archive.access import Access
from seaway_agent.build.build_cgroup import build_cgroups
from seaway_agent.build.builds import BuildPlace, Builds
from seaway_agent.build.step_networks import StepNetworks
from seaway_agent.build.step_rules import platform_arguments
from seaway_agent.build.step_setup import StepRuntime, step_setup
from seaway_agent.commands.archive import ArchiveCommands
from seaway_agent.commands.blobs import BlobClient
from seaway_agent.commands.builds import BuildCommands, tell_build
from seaway_agent.commands.commit import CommitCommand
from seaway_agent.commands.create import CreateCommand
from seaway_agent.commands.exec import ExecCommands
from seaway_agent.commands.inventory import InventoryCommand
from seaway_agent.commands.lifecycle import LifecycleCommands, UpdateCommands
from seaway_agent.commands.making import ContainerMaker
from seaway_agent.commands.networks import NetworkCommands, claim_addresses
from seaway_agent.commands.observe import ObserveCommands
from seaway_agent.commands.spec_checks import SpecChecks
from seaway_agent.commands.streams import StreamCommands
from seaway_agent.commands.volumes import VolumeCommands
from seaway_agent.container.factory import ContainerLogs, RunnerFactory
from seaway_agent.container.held_networks import HeldNetworks
from seaway_agent.container.hook import RunHooks
from seaway_agent.container.hooks.rootfs import RootfsHook
from seaway_agent.container.hooks.shared_namespaces import network_path
from seaway_agent.container.live_network import LiveNetwork
from seaway_agent.container.run_hooks import run_hooks
from seaway_agent.dns.node_resolver import NodeResolver
from seaway_agent.execs.starter import ExecStarter
from seaway_agent.execs.supervisor.supervisor import ExecSupervisor
from seaway_agent.inventory.inventory import Inventory
from seaway_agent.kernel import cgroups, orphans, procs
from seaway_agent.kernel.attach_lock import AttachLock
from seaway_agent.kernel.hostinfo import HostInfo, read_host_info
from seaway_agent.kernel.launcher import Launcher
from seaway_agent.kernel.tmpfs import ensure_tmpfs
from seaway_agent.layout import Layout
from seaway_agent.metrics.collector import ContainerCollector
from seaway_agent.metrics.layer_sizes import LayerSizes
from seaway_agent.metrics.node_reader import NodeReader
from seaway_agent.metrics.stats import StatsSampling
from seaway_agent.network.errors import SubnetError
from seaway_agent.network.networks import NodeNetworks
from seaway_agent.network.port import DEFAULT_NAME, DEFAULT_NETWORK, NetworkSpec
from seaway_agent.network.published import PublishedPorts
from seaway_agent.node.address import NodeAddress
from seaway_agent.node.beats import Heartbeat, devices, facts_of
from seaway_agent.node.config import ReceivedConfig
from seaway_agent.node.disk_space import wait_for_disk_space
from seaway_agent.node.health import read_health
from seaway_agent.node.layer_sweeper import LayerSweeper
from seaway_agent.node.programs import find_programs, raise_file_limit
from seaway_agent.node.reservations import Reservations
from seaway_agent.node.singleton_lock import check_name, hold
from seaway_agent.oci import capabilities
from seaway_agent.recovery.execs import ExecRecovery
from seaway_agent.recovery.leftovers import Leftovers
from seaway_agent.recovery.network import NetworkRecovery
from seaway_agent.recovery.recovery import Recovery
from seaway_agent.recovery.replay import leap_sequences, replay
from seaway_agent.recovery.undo import Undo
from seaway_agent.rootfs.layers import LayerStore
from seaway_agent.rootfs.upper import UpperStore
from seaway_agent.runtime import apparmor
from seaway_agent.runtime.conmon_runtime import ConmonRuntime
from seaway_agent.runtime.container_cgroups import ContainerCgroups
from seaway_agent.runtime.exits import ExitWatch
from seaway_agent.runtime.launch import ProcessDefaults
from seaway_agent.runtime.seccomp import Seccomp
from seaway_agent.runtime.shim_starter import ShimStarter
from seaway_agent.settings import AgentSettings
from seaway_agent.state.database import Store, open_database
from seaway_agent.state.journal import Journal
from seaway_agent.streams.log_watch import LogWatch
from seaway_agent.streams.spill import SpillStore
from seaway_agent.volumes.filler import VolumeFiller
from seaway_agent.volumes.images import ImageMounts, all_places
from seaway_agent.volumes.mounted import MountedVolumes
from seaway_agent.volumes.mounts import VolumeMounts
from seaway_agent.volumes.volumes import Volumes
from seaway_bus.event_sender import of_node
from seaway_bus.outbox import Outbox
from seaway_contracts.errors import SeawayError, internal
from seaway_contracts.nodes import CORE, Capacity
from seaway_kit.service import ServiceContext

log = logging.getLogger(__name__)
_FLUSH_S: Final = 2.0
_JOINS_S: Final = 1.0
_REPLAYS_S: Final = 10.0
_OUTPUT_FD: Final = 2


class Agent:
    """The parts of a node's agent, opened in order, closed in reverse."""

    def __init__(self, context: ServiceContext, settings: AgentSettings) -> None:
        self._context = context
        self._settings = settings
        self._layout = Layout.of(settings.root, settings.run, settings.node)

    @contextlib.asynccontextmanager
    async def live(self) -> AsyncIterator[None]:
        """The agent, from recovery to its end. Containers outlive it."""
        async with contextlib.AsyncExitStack() as stack:
            self._stack = stack
            await self._open()
            yield

    async def _open(self) -> None:
        settings, context, stack = self._settings, self._context, self._stack
        self._programs = find_programs(settings.runtime)
        self._runtimes = self._programs.runtimes
        self._open_files = raise_file_limit()
        orphans.become_subreaper()
        await self._be_alone(self._layout.root)
        early = await self._joined_within(_JOINS_S)
        if early:
            await check_name(context.bus, settings.node)
        await wait_for_disk_space(context.bus, settings.node, self._layout.root)
        self._layout.make_run()
        ensure_tmpfs(str(self._layout.run), 0o700)
        await self._be_alone(self._layout.run)
        self._layout.make(self._runtimes.programs)
        store = self._open_state()
        boot = procs.boot_id()
        former = store.fact("boot")
        same_boot = former == boot
        if former and not same_boot:
            await self._replay(store)
        await self._open_node(store)
        self._layers = LayerStore(self._layout.layers, boot)
        self._layers.start()
        stack.callback(self._layers.close)
        self._blobs = BlobClient(context.bus, settings.node, settings.nats_ca)
        stack.push_async_callback(self._blobs.close)
        self._image_mounts = ImageMounts(self._layers, self._blobs.fetch, self._layout)
        self._config = ReceivedConfig(context.bus, settings.node, store)
        self._open_containers(lost_memory=bool(former) and not same_boot)
        await self._recover(store, same_boot)
        await self._open_builds()
        store.put_fact("boot", boot)
        context.tasks.eternal("firewall", self._published.repair_on_flush())
        context.tasks.eternal("orphans", orphans.reap_forever())
        self._outbox.start()
        stack.push_async_callback(self._outbox.flush, _FLUSH_S)
        info = read_host_info(str(self._layout.root), self._cgroups.host, apparmor=self._apparmor.usable)
        self._open_metrics(info)
        # Up to here the bus isn't needed: the containers are served whether it is there or not.
        await context.joined
        if not early:
            await check_name(context.bus, settings.node)
        await self._serve(info)
        await self._begin_beats(info, boot)

    # --- what is opened, in this order

    def _open_state(self) -> Store:
        db = open_database(self._layout.database)
        self._stack.callback(db.close)
        settings, context = self._settings, self._context
        deliver = of_node(context.bus, settings.node)
        transport, bound = context.bus.transport, settings.outbox_bytes
        self._outbox = Outbox(db, transport, context.tasks, deliver, tells=True, bound=bound)
        store = Store(db)
        self._journal = Journal(store, self._outbox, settings.node)
        return store

    async def _open_node(self, store: Store) -> None:
        """What all containers of the node share."""
        settings, stack = self._settings, self._stack
        suite = settings.suite or store.fact("suite") or secrets.token_hex(3)
        store.put_fact("suite", suite)
        host = cgroups.host_layout()
        self._cgroups = ContainerCgroups(host, suite, self._layout.cgroup_parents)
        self._launcher = Launcher(programs=self._programs.self_copying)
        self._launcher.start()
        stack.callback(self._launcher.close)
        self._attach_lock = AttachLock(host)
        self._attach_lock.start()
        stack.callback(self._attach_lock.close)
        self._networks = await self._open_networks(store, suite)
        self._held = HeldNetworks(self._networks, self._journal.networks, self._journal.was_removed)
        await self._held.restore()
        self._resolver = NodeResolver(self._layout.run, self._context.tasks, _OUTPUT_FD)
        stack.callback(self._resolver.close)
        self._published = PublishedPorts(self._networks)
        stack.push_async_callback(self._published.close)
        self._uppers = UpperStore(self._layout.containers)
        stack.callback(self._uppers.close)
        self._volumes = Volumes(self._layout.volumes, settings.node, self._journal.was_volume_removed)
        stack.callback(self._volumes.close)
        self._filler = VolumeFiller(self._volumes, self._layout.scratch)
        stack.callback(self._filler.close)
        self._mounted = MountedVolumes(self._volumes)
        stack.callback(self._mounted.close)
        self._volume_mounts = VolumeMounts(self._volumes)
        self._workers = self._threads("node", 4)  # for short work that a container's life waits for
        self._seccomp = Seccomp(settings.seccomp_profile, self._programs.filter_takers)
        self._apparmor = apparmor.find()
        await self._apparmor.prepare()

    def _threads(self, name: str, most: int) -> ThreadPoolExecutor:
        threads = ThreadPoolExecutor(most, thread_name_prefix=name)
        self._stack.callback(threads.shutdown)
        return threads

    async def _open_networks(self, store: Store, suite: str) -> NodeNetworks:
        networks = NodeNetworks(suite, pool_size=self._settings.sandboxes)
        await networks.open()
        self._stack.push_async_callback(networks.close)
        self._bridge = await self._make_default_network(networks, self._settings.subnet or store.fact("subnet"))
        store.put_fact("subnet", str(self._bridge.subnet))
        return networks

    async def _make_default_network(self, networks: NodeNetworks, subnet: str) -> NetworkSpec:
        """Docker's network `bridge`, on the subnet of the last time unless that has been taken since."""
        wanted = IPv4Network(subnet) if subnet else None
        try:
            return await networks.make(NetworkSpec(DEFAULT_NETWORK, DEFAULT_NAME, subnet=wanted))
        except SubnetError as error:
            if wanted is None or self._settings.subnet:
                raise internal(str(error)) from error
            log.warning("%s; taking another", error)
            return await self._make_default_network(networks, "")

    def _open_containers(self, *, lost_memory: bool) -> None:
        """The inventory, and what makes runners for it."""
        context, layout = self._context, self._layout
        self._inventory = Inventory(self._settings.node, self._journal, secrets.token_hex(8), lost_memory=lost_memory)
        grantable = capabilities.in_mask(procs.bounding_set())
        shims = ShimStarter(self._programs.conmon, self._launcher, self._attach_lock, _OUTPUT_FD, self._workers)
        defaults = ProcessDefaults(grantable, self._open_files)
        make_runtime = partial(
            ConmonRuntime,
            layout=layout,
            runtimes=self._runtimes,
            cgroups=self._cgroups,
            shims=shims,
            workers=self._workers,
            defaults=defaults,
        )
        self._hooks = self._run_hooks()
        self._log_watch = LogWatch()
        self._stack.callback(self._log_watch.close)
        spill = SpillStore(layout.root)
        self._stack.callback(spill.close)
        compressors = self._threads("pack", 2)  # for rotated logs, which may take their time
        self._factory = RunnerFactory(
            make_runtime=make_runtime,
            hooks=self._hooks,
            network=LiveNetwork(
                self._networks,
                self._held,
                self._published,
                self._resolver,
                layout,
                partial(claim_addresses, context.bus, self._settings.node),
                self._inventory.followers,
            ),
            journal=self._journal,
            uppers=self._uppers,
            volumes=self._volumes,
            logs=ContainerLogs(layout, self._log_watch, compressors, context.tasks, self._settings.node, context.bus),
            exec_starter=self._exec_starter(grantable),
            spill=spill,
            tasks=context.tasks,
            gone=self._inventory.forget,
        )
        self._stack.callback(self._inventory.close)
        exits = ExitWatch(layout.exits, self._inventory.exit_seen)
        exits.start()
        self._stack.callback(exits.close)

    def _run_hooks(self) -> RunHooks:
        rootfs = RootfsHook(self._uppers, self._threads("unmount", 2))
        self._stack.callback(rootfs.close)
        return run_hooks(
            rootfs=rootfs,
            apparmor=self._apparmor,
            seccomp=self._seccomp,
            runtimes=self._runtimes,
            networks=self._networks,
            held=self._held,
            resolver=self._resolver,
            published=self._published,
            volumes=self._volume_mounts,
            mounted=self._mounted,
            images=self._image_mounts,
            layout=self._layout,
            peers=self._inventory.peer,
            init=self._programs.init,
        )

    def _exec_starter(self, grantable: Collection[str]) -> ExecStarter:
        supervisor = ExecSupervisor(self._launcher, self._layout.run, _OUTPUT_FD)
        self._stack.callback(supervisor.close)
        return ExecStarter(
            layout=self._layout,
            runtimes=self._runtimes,
            conmon=self._programs.conmon,
            launcher=self._launcher,
            attach_lock=self._attach_lock,
            supervisor=supervisor,
            apparmor=self._apparmor,
            output_fd=_OUTPUT_FD,
            workers=self._workers,
            grantable=grantable,
        )

    async def _recover(self, store: Store, same_boot: bool) -> None:
        stored = list(store.containers())
        self._volumes.start([item.spec for item in stored], whole=same_boot)
        leftovers = Leftovers(self._layout, self._runtimes, self._cgroups, same_boot)
        undo = Undo(self._layout, self._runtimes, self._cgroups, self._hooks, self._uppers, leftovers)
        recovery = Recovery(
            inventory=self._inventory,
            factory=self._factory,
            layout=self._layout,
            leftovers=leftovers,
            network=NetworkRecovery(self._networks, self._held, self._published, self._resolver, self._layout),
            execs=ExecRecovery(self._layout, self._journal.execs(), same_boot=same_boot),
            undo=undo,
            pending=self._journal.pending_stops,
            disconnects=self._journal.pending_disconnects,
            tasks=self._context.tasks,
            same_boot=same_boot,
        )
        await recovery.run(stored)
        await self._mounted.unmount_unused()

    def _open_metrics(self, info: HostInfo) -> None:
        settings, metrics, tasks, inventory = (
            self._settings,
            self._context.metrics,
            self._context.tasks,
            self._inventory,
        )
        health = partial(read_health, self._layout.root)
        reader = NodeReader(inventory, info, self._networks, self._resolver, self._volumes.all, health)
        sizes = LayerSizes(lambda container: self._uppers.locate(container).upper, inventory.live_ids)
        collector = ContainerCollector(
            inventory,
            reader,
            self._cgroups,
            self._networks,
            sizes,
            limit=settings.metrics_containers,
            labels=settings.metrics_container_labels,
        )
        metrics.add(collector)
        metrics.add_text(collector.text)
        self._stack.callback(collector.close)
        tasks.eternal("metrics", collector.run())
        tasks.eternal("layer-sizes", sizes.run())

    async def _begin_beats(self, info: HostInfo, boot: str) -> None:
        settings, context, inventory = self._settings, self._context, self._inventory
        facts = facts_of(
            info,
            self._runtimes,
            self._networks.suite,
            self._bridge,
            settings.label,
            str(settings.root),
            str(self._layout.volumes),
            boot,
            self._programs.buildah,
        )
        address = NodeAddress(settings.address, settings.nats)
        await address.resolve()
        heartbeat = Heartbeat(
            context.bus,
            inventory,
            self._journal,
            info,
            facts,
            settings.beat_s,
            self._networks,
            self._config,
            partial(read_health, self._layout.root),
            address.current,
        )
        await heartbeat.serve()
        context.tasks.eternal("config", self._config.run())
        context.tasks.eternal("beat", heartbeat.run())
        context.tasks.eternal("layers", LayerSweeper(context.bus, inventory, self._layers).run())
        self._stack.push_async_callback(self._leave, heartbeat)

    # --- steps

    async def _be_alone(self, directory: Path) -> None:
        self._stack.callback(os.close, await asyncio.to_thread(hold, directory))

    async def _joined_within(self, seconds: float) -> bool:
        """Whether the bus is connected in time, as it mostly is."""
        done, _ = await asyncio.wait({self._context.joined}, timeout=seconds)
        return bool(done)

    async def _replay(self, store: Store) -> None:
        """After a reboot. The containers wait for the bus a while, but not for ever."""
        try:
            async with asyncio.timeout(_REPLAYS_S):
                await asyncio.shield(self._context.joined)
                await replay(store, self._context.bus, self._settings.node)
        except (TimeoutError, SeawayError) as error:
            log.warning(
                "metadata can't be asked what it knows of this node's last moments before the reboot (%s); what was "
                "started, made or removed just then may be lost",
                str(error) or "it isn't there",
            )
        leap_sequences(store, int(time.time()))

    async def _leave(self, heartbeat: Heartbeat) -> None:
        """One that failed says nothing: it is started anew at once."""
        if not self._context.tasks.failed:
            await heartbeat.leave()

    # --- commands

    async def _serve(self, info: HostInfo) -> None:
        bus, tasks, inventory = self._context.bus, self._context.tasks, self._inventory
        capacity = Capacity(nano_cpus=info.cpus * CORE, memory=info.memory_total)
        reservations = Reservations(inventory, self._config, capacity, devices)
        await self._create_command(reservations).serve(bus)
        await LifecycleCommands(inventory, self._config).serve(bus)
        await UpdateCommands(inventory, self._cgroups.host, reservations).serve(bus)
        await NetworkCommands(inventory, self._journal, self._held, self._networks).serve(bus)
        volumes = VolumeCommands(inventory, self._journal, self._volumes)
        self._stack.callback(volumes.close)
        await volumes.serve(bus)
        stats = StatsSampling(inventory, info, bus.transport, tasks, self._cgroups, self._networks)
        observe = ObserveCommands(inventory, bus, stats, self._layout, self._runtimes, self._cgroups)
        self._stack.callback(observe.close)
        await observe.serve()
        await StreamCommands(inventory, bus, tasks).serve()
        await self._serve_files()
        await ExecCommands(inventory, bus, self._attach_lock, tasks).serve()
        await InventoryCommand(inventory, self._journal).serve(bus)
        await BuildCommands(self._settings.node, self._builds).serve(bus)

    async def _open_builds(self) -> None:
        """What builds images."""
        settings, context = self._settings, self._context
        networks = StepNetworks(self._networks, self._held.make_stored, self._resolver)
        network_of = partial(network_path, self._inventory.peer)
        runtime = StepRuntime(*self._runtimes.find(""), self._programs.self_copying)
        parents = build_cgroups(self._networks.suite, self._cgroups)
        setup = step_setup(networks, self._seccomp, self._apparmor, parents, runtime, self._open_files, network_of)
        tell = partial(tell_build, self._outbox, settings.node)
        place = BuildPlace(settings.node, self._programs.buildah, self._layout.builds, settings.build_limits)
        self._builds = Builds(place, context.bus, context.tasks, setup, platform_arguments(), tell)
        self._stack.callback(self._builds.close)
        await self._builds.sweep()

    def _create_command(self, reservations: Reservations) -> CreateCommand:
        inventory, volumes = self._inventory, self._volumes
        checks = SpecChecks(self._runtimes, self._cgroups, self._seccomp, volumes, inventory.peer, self._programs.init)
        return CreateCommand(
            inventory=inventory,
            checks=checks,
            reservations=reservations,
            maker=ContainerMaker(inventory, self._factory, self._uppers, volumes, self._filler, self._layout),
            layers=self._layers,
            blobs=self._blobs,
            journal=self._journal,
            attach_lock=self._attach_lock,
        )

    async def _serve_files(self) -> None:
        bus, tasks = self._context.bus, self._context.tasks
        places = partial(all_places, self._volume_mounts, self._image_mounts)
        access = Access(self._layout, self._runtimes, self._uppers, places, self._workers)
        archive = ArchiveCommands(self._inventory, bus, access, self._uppers, self._layers, tasks)
        commit = CommitCommand(self._inventory, self._blobs, self._uppers)
        self._stack.callback(archive.close)
        self._stack.callback(commit.close)
        await archive.serve()
        await commit.serve(bus)


def build(context: ServiceContext) -> contextlib.AbstractAsyncContextManager[None]:
    """For the process shell."""
    assert isinstance(context.settings, AgentSettings)
    return Agent(context, context.settings).live()
