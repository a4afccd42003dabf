"""Puts one node's agent together."""

import asyncio
import contextlib
import logging
import os
import resource
import secrets
import shutil
import time
from collections.abc import AsyncIterator, Mapping
from ipaddress import IPv4Network
from pathlib import Path
from typing import Final

from seaway_agent.commands.archive import ArchiveCommands
from seaway_agent.commands.blobs import BlobClient
from seaway_agent.commands.commit import CommitCommand
from seaway_agent.commands.create import CreateCommand
from seaway_agent.commands.exec import ExecCommands
from seaway_agent.commands.inventory import InventoryCommand
from seaway_agent.commands.lifecycle import LifecycleCommands
from seaway_agent.commands.observe import ObserveCommands
from seaway_agent.commands.streams import StreamCommands
from seaway_agent.commands.update import UpdateCommands
from seaway_agent.inventory.inventory import Inventory
from seaway_agent.kernel import cgroups, orphans, procs, seccomp_bpf
from seaway_agent.kernel.attach_lock import AttachLock
from seaway_agent.kernel.hostinfo import HostInfo, read_host_info
from seaway_agent.kernel.launcher import Launcher
from seaway_agent.kernel.tmpfs import ensure_tmpfs
from seaway_agent.layout import Layout
from seaway_agent.metrics.collector import ContainerCollector
from seaway_agent.network.bridge import BridgeNetwork
from seaway_agent.network.driver import NetworkDriver
from seaway_agent.network.errors import SubnetError
from seaway_agent.network.nft import NatTable
from seaway_agent.node.beats import Heartbeat, facts_of
from seaway_agent.node.disk_space import wait_for_disk_space
from seaway_agent.node.layer_sweeper import LayerSweeper
from seaway_agent.node.singleton_lock import check_name, hold
from seaway_agent.oci import capabilities
from seaway_agent.plumbing import Plumbing, Seccomp
from seaway_agent.recovery.recovery import Recovery
from seaway_agent.recovery.replay import leap, replay
from seaway_agent.rootfs.layers import LayerStore
from seaway_agent.rootfs.upper import UpperStore
from seaway_agent.runtime import apparmor
from seaway_agent.runtime.exits import ExitWatch
from seaway_agent.settings import AgentSettings
from seaway_agent.state.database import Store, open_database
from seaway_agent.state.journal import Journal
from seaway_agent.streams.spill import SpillRoom
from seaway_agent.volumes.volumes import Volumes
from seaway_bus.event_sender import of_node
from seaway_bus.outbox import Outbox
from seaway_contracts.errors import SeawayError, internal
from seaway_contracts.version import VERSION
from seaway_kit.service import ServiceContext

log = logging.getLogger(__name__)
_RUNTIMES: Final = ("crun", "runc", "runsc")
_SELF_COPYING: Final = ("crun",)
_INITS: Final = ("tini-static", "tini", "catatonit", "docker-init")
_FLUSH_S: Final = 2.0
_JOINS_S: Final = 1.0
_REPLAYS_S: Final = 10.0
_OPEN_FILES: Final = 1 << 20


def find_programs(settings: AgentSettings) -> tuple[str, dict[str, str], str]:
    """conmon, the runtimes by name, the init program (empty without one). Raises SeawayError that names the package."""
    if os.geteuid() != 0:
        raise internal("the agent needs root: it makes namespaces, mounts and cgroups")
    conmon = shutil.which("conmon")
    if conmon is None:
        raise internal("conmon is missing: install the package conmon")
    runtimes = {name: path for name in _RUNTIMES if (path := shutil.which(name)) is not None}
    if settings.runtime not in runtimes:
        raise internal(f"the runtime {settings.runtime} is missing: install the package {settings.runtime}")
    return conmon, runtimes, next((path for name in _INITS if (path := shutil.which(name)) is not None), "")


class Agent:
    """The parts of a node's agent, opened in order, closed in reverse."""

    def __init__(self, context: ServiceContext, settings: AgentSettings) -> None:
        self._context = context
        self._settings = settings
        self._layout = Layout.of(settings.root, settings.run, settings.node)

    @contextlib.asynccontextmanager
    async def live(self) -> AsyncIterator[None]:
        """The agent, from recovery to its end. Containers go on afterwards."""
        async with contextlib.AsyncExitStack() as stack:
            await self._open(stack)
            yield

    async def _open(self, stack: contextlib.AsyncExitStack) -> None:
        settings, context = self._settings, self._context
        conmon, runtimes, init = find_programs(settings)
        self._open_files = _raise_file_limit()
        orphans.adopt()
        await self._be_alone(stack, self._layout.root)
        early = await self._joined_within(_JOINS_S)
        if early:
            await check_name(context.bus, settings.node)
        await wait_for_disk_space(context.bus, settings.node, self._layout.root)
        self._layout.make_run()
        ensure_tmpfs(str(self._layout.run), 0o700)
        await self._be_alone(stack, self._layout.run)
        self._layout.make(runtimes)
        store = self._store(stack)
        boot = procs.boot_id()
        former = store.fact("boot")
        same_boot = former == boot
        if former and not same_boot:
            await self._replay(store)
        plumbing = await self._plumbing(stack, store, conmon, runtimes, init)
        layers = LayerStore(self._layout.layers, boot)
        layers.start()
        stack.callback(layers.close)
        blobs = BlobClient(context.bus, settings.node, settings.nats_ca)
        stack.push_async_callback(blobs.close)
        inventory = Inventory(plumbing, layers, secrets.token_hex(8), lost_memory=bool(former) and not same_boot)
        stack.callback(inventory.close)
        exits = ExitWatch(self._layout.exits, inventory.exit_seen)
        exits.start()
        stack.callback(exits.close)
        await Recovery(inventory, same_boot).run(list(store.containers()))
        store.remember("boot", boot)
        context.tasks.eternal("firewall", plumbing.network.guard())
        context.tasks.eternal("orphans", orphans.look_after())
        self._outbox.start()
        stack.push_async_callback(self._outbox.flush, _FLUSH_S)
        info = read_host_info(str(self._layout.root), plumbing.cgroups, apparmor=plumbing.apparmor.usable)
        collector = ContainerCollector(inventory, info, settings.metrics_containers)
        context.metrics.add(collector)
        stack.callback(collector.close)
        context.tasks.eternal("metrics", collector.run())
        # Up to here the bus isn't needed: the containers of this node are looked after whether it is there or not.
        await context.joined
        if not early:
            await check_name(context.bus, settings.node)
        await self._serve(stack, inventory, blobs, info)
        await context.bus.announce("agent", VERSION)
        facts = facts_of(info, plumbing, settings.label, str(settings.root), boot)
        heartbeat = Heartbeat(context.bus, inventory, info, facts, settings.beat_s)
        context.tasks.eternal("beat", heartbeat.run())
        context.tasks.eternal("layers", LayerSweeper(context.bus, inventory).run())
        stack.push_async_callback(self._leave, heartbeat)

    async def _be_alone(self, stack: contextlib.AsyncExitStack, directory: Path) -> None:
        stack.callback(os.close, await asyncio.to_thread(hold, directory))

    async def _joined_within(self, seconds: float) -> bool:
        """Whether the bus is there in a moment, as it mostly is."""
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
        leap(store, int(time.time()))

    async def _leave(self, heartbeat: Heartbeat) -> None:
        """One that failed says nothing: it is started anew at once."""
        if not self._context.tasks.failed:
            await heartbeat.leave()

    async def _serve(
        self, stack: contextlib.AsyncExitStack, inventory: Inventory, blobs: BlobClient, info: HostInfo
    ) -> None:
        bus = self._context.bus
        await CreateCommand(inventory, blobs).serve(bus)
        await LifecycleCommands(inventory).serve(bus)
        await UpdateCommands(inventory).serve(bus)
        observe = ObserveCommands(inventory, bus, info)
        stack.callback(observe.close)
        await observe.serve()
        await StreamCommands(inventory, bus).serve()
        await self._serve_files(stack, inventory, blobs)
        await ExecCommands(inventory, bus).serve()
        await InventoryCommand(inventory).serve(bus)

    async def _serve_files(self, stack: contextlib.AsyncExitStack, inventory: Inventory, blobs: BlobClient) -> None:
        archive, commit = ArchiveCommands(inventory, self._context.bus), CommitCommand(inventory, blobs)
        stack.callback(archive.close)
        stack.callback(commit.close)
        await archive.serve()
        await commit.serve(self._context.bus)

    def _store(self, stack: contextlib.AsyncExitStack) -> Store:
        db = open_database(self._layout.database)
        stack.callback(db.close)
        settings, context = self._settings, self._context
        deliver = of_node(context.bus, settings.node)
        transport, bound = context.bus.transport, settings.outbox_bytes
        self._outbox = Outbox(db, transport, context.tasks, deliver, tells=True, bound=bound)
        return Store(db)

    async def _plumbing(
        self, stack: contextlib.AsyncExitStack, store: Store, conmon: str, runtimes: dict[str, str], init: str
    ) -> Plumbing:
        settings = self._settings
        suite = settings.suite or store.fact("suite") or secrets.token_hex(3)
        store.remember("suite", suite)
        host = cgroups.host_layout()
        programs = [runtimes[name] for name in _SELF_COPYING if name in runtimes]
        launcher = Launcher(programs=programs)
        launcher.start()
        stack.callback(launcher.close)
        attach_lock = AttachLock(host)
        attach_lock.start()
        stack.callback(attach_lock.close)
        network = await self._network(stack, store, suite)
        uppers = UpperStore(self._layout.containers)
        stack.callback(uppers.close)
        volumes = Volumes(self._layout.volumes)
        stack.callback(volumes.close)
        plumbing = Plumbing(
            node=settings.node,
            suite=suite,
            layout=self._layout,
            cgroups=host,
            launcher=launcher,
            attach_lock=attach_lock,
            network=network,
            uppers=uppers,
            volumes=volumes,
            journal=Journal(store, self._outbox, settings.node),
            seccomp=Seccomp(settings.seccomp_profile, _takers(runtimes)),
            tasks=self._context.tasks,
            spill=SpillRoom(self._layout.root),
            conmon=conmon,
            runtimes=runtimes,
            default_runtime=settings.runtime,
            init_path=init,
            output_fd=2,
            open_files=self._open_files,
            bus=self._context.bus,
            grantable=capabilities.in_mask(procs.bounding_set()),
            apparmor=apparmor.find(),
        )
        await plumbing.apparmor.prepare()
        stack.callback(plumbing.workers.shutdown)
        stack.callback(plumbing.unmounters.shutdown)
        stack.callback(plumbing.packers.shutdown)
        stack.callback(plumbing.log_watch.close)
        stack.callback(plumbing.supervisor.close)
        stack.callback(plumbing.spill.close)
        return plumbing

    async def _network(self, stack: contextlib.AsyncExitStack, store: Store, suite: str) -> NetworkDriver:
        driver, found = await self._open_network(suite, self._settings.subnet or store.fact("subnet"))
        stack.push_async_callback(driver.close)
        store.remember("subnet", str(found))
        return driver

    async def _open_network(self, suite: str, chosen: str) -> tuple[NetworkDriver, IPv4Network]:
        """The node's network, on the subnet of the last time where nobody has taken that since."""
        subnet = IPv4Network(chosen) if chosen else None
        bridge = BridgeNetwork(suite, subnet, None, 1500, NatTable(suite))
        driver = NetworkDriver(bridge, pool_size=self._settings.sandboxes)
        try:
            return driver, await driver.open()
        except SubnetError as error:
            if subnet is None or self._settings.subnet:
                raise internal(str(error)) from error
            log.warning("%s; taking another", error)
            return await self._open_network(suite, "")


def _takers(runtimes: Mapping[str, str]) -> list[str]:
    """The runtimes that take a compiled seccomp filter."""
    return [name for name, program in runtimes.items() if seccomp_bpf.understood_by(program)]


def _raise_file_limit() -> tuple[int, int]:
    """Thousands of containers need thousands of descriptors. The limits that were there before."""
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    with contextlib.suppress(ValueError, OSError):
        resource.setrlimit(resource.RLIMIT_NOFILE, (min(_OPEN_FILES, before[1]), before[1]))
    return before


def build(context: ServiceContext) -> contextlib.AbstractAsyncContextManager[None]:
    """For the process shell."""
    assert isinstance(context.settings, AgentSettings)
    return Agent(context, context.settings).live()
