"""A real agent process beside a real NATS server; parts of metadata; a blob server that plays the image service."""

import asyncio
import contextlib
import hashlib
import io
import os
import secrets
import signal
import tarfile
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Final

from aiohttp import web
from tests.integration.agent.metadata import AgentsMetadata
from tests.integration.forked import Forked

from seaway_agent.execs.supervisor.supervisor import supervisors_below
from seaway_agent.runtime.shims import end_with_children, exec_shims_below, shims_below
from seaway_bus.bus import Bus, Command
from seaway_bus.events import Event, history
from seaway_bus.judging import container_of
from seaway_contracts import catalogue
from seaway_contracts.base import Empty
from seaway_contracts.commands import (
    ContainerId,
    CreateContainer,
    InventoryItem,
    ListInventory,
    RemoveContainer,
    StatusReply,
    StopContainer,
)
from seaway_contracts.containers import Command as Process
from seaway_contracts.containers import ContainerSpec, ImageUse
from seaway_contracts.errors import SeawayError
from seaway_contracts.images import BlobEndpoint, Layer
from seaway_contracts.lifecycle import ContainerEvent
from seaway_contracts.volumes import VolumeRecord
from seaway_docker.loglines import Reader
from seaway_kit.failpoints import VARIABLE
from seaway_kit.tasks import Tasks
from seaway_testing.builders import networking

LIMIT_S: Final = 20.0
APPLETS: Final = ("sh", "true", "false", "sleep", "cat", "id", "ls", "env", "echo", "hostname", "grep", "dd", "trap")


def busybox_layer() -> bytes:
    """A root filesystem with nothing but Debian's static busybox."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as tar:
        for name in ("bin", "etc", "tmp", "root"):
            entry = tarfile.TarInfo(name)
            entry.type, entry.mode = tarfile.DIRTYPE, 0o755
            tar.addfile(entry)
        _file(tar, "bin/busybox", Path("/bin/busybox").read_bytes(), 0o755)
        _file(tar, "etc/passwd", b"root:x:0:0:root:/root:/bin/sh\n", 0o644)
        _file(tar, "etc/group", b"root:x:0:root\n", 0o644)
        _file(tar, "etc/notes", b"not a program\n", 0o644)
        for name in APPLETS:
            entry = tarfile.TarInfo(f"bin/{name}")
            entry.type, entry.linkname = tarfile.SYMTYPE, "busybox"
            tar.addfile(entry)
    return out.getvalue()


def _file(tar: tarfile.TarFile, name: str, data: bytes, mode: int) -> None:
    entry = tarfile.TarInfo(name)
    entry.size, entry.mode = len(data), mode
    tar.addfile(entry, io.BytesIO(data))


class Blobs:
    """Serves one layer over HTTP and says on the bus where."""

    def __init__(self) -> None:
        self.data = busybox_layer()
        digest = f"sha256:{hashlib.sha256(self.data).hexdigest()}"
        tar = "application/vnd.oci.image.layer.v1.tar"
        self.layer = Layer(digest=digest, size=len(self.data), media_type=tar, diff_id=digest)
        self.token = secrets.token_hex(8)
        self.fetched = asyncio.Event()
        self.gate = asyncio.Event()
        """Blobs are given out while it is set."""
        self.gate.set()
        self._runner: web.AppRunner | None = None

    async def start(self, bus: Bus) -> None:
        async def blob(request: web.Request) -> web.Response:
            if request.headers.get("Authorization") != f"Bearer {self.token}":
                return web.Response(status=401)
            if request.match_info["digest"] != self.layer.digest:
                return web.Response(status=404)
            self.fetched.set()
            await self.gate.wait()
            return web.Response(body=self.data)

        app = web.Application()
        app.router.add_get("/v2/{name}/blobs/{digest}", blob)
        self._runner = web.AppRunner(app)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", 0)
        await site.start()
        assert self._runner.addresses
        url = f"http://127.0.0.1:{self._runner.addresses[0][1]}"

        async def locate(_: Empty, __: Command) -> BlobEndpoint:
            return BlobEndpoint(url=url, token=self.token)

        await bus.serve(catalogue.NODE_BLOB_ENDPOINT, locate)

    async def close(self) -> None:
        if self._runner is not None:
            await self._runner.cleanup()


class AgentRig:
    """Starts, kills and commands one agent; collects its events, each as it is told, or as it stands in the stream."""

    def __init__(self, base: Path, nats_url: str, bus: Bus, blobs: Blobs, tasks: Tasks) -> None:
        self.base = base
        self.node = f"n{secrets.token_hex(3)}"
        self.suite = secrets.token_hex(3)
        self.bus = bus
        self.events: list[Event] = []
        self.env: dict[str, str] = {}
        """What the agent's environment has beside our own."""
        self._nats_url = nats_url
        self.blobs = blobs
        self._metadata = AgentsMetadata(bus, self._received, tasks)
        self._began_ns = time.time_ns()
        self._volumes_made_for: dict[str, str] = {}
        self._process: Forked | None = None
        self._more = asyncio.Event()

    @property
    def root(self) -> Path:
        return self.base / "root"

    @property
    def run(self) -> Path:
        return self.base / "run" / "agent" / self.node

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    def _received(self, event: Event) -> None:
        if event.envelope.node == self.node:
            self.events.append(event)
            self._more.set()

    async def listen(self) -> None:
        """Collect events; without it nobody stores them."""
        await self._metadata.start()

    async def start(self) -> None:
        """Start the agent and wait until it answers."""
        self.spawn()
        await self.until(self.answers)

    async def start_armed(self, directory: Path) -> Path:
        """Start the agent anew, with a directory for failpoints; gives that."""
        directory.mkdir(exist_ok=True)
        self.end(signal.SIGTERM)
        self.env[VARIABLE] = str(directory)
        await self.start()
        return directory

    def spawn(self) -> None:
        """Start the agent."""
        flags = ["--nats", self._nats_url, "--node", self.node, "--suite", self.suite, "--sandboxes", "2"]
        places = ["--root", str(self.root), "--run", str(self.base / "run")]
        log, env = self.base / "agent.log", os.environ | self.env
        self._process = Forked("seaway_agent.main", [*flags, *places], log, env)

    async def answers(self) -> bool:
        assert self._process is not None
        assert self._process.poll() is None, (self.base / "agent.log").read_text()[-3000:]
        try:
            await self.inventory()
        except SeawayError:
            return False
        return True

    def ended(self) -> bool:
        """Whether the agent has ended by itself."""
        return self._process is not None and self._process.poll() is not None

    def send(self, number: signal.Signals) -> None:
        """Send the agent a signal that it lives through."""
        os.kill(self.pid, number)

    @contextlib.contextmanager
    def standing_still(self) -> Iterator[None]:
        """While the agent does nothing."""
        self.send(signal.SIGSTOP)
        try:
            yield
        finally:
            self.send(signal.SIGCONT)

    def end(self, number: signal.Signals) -> None:
        """End the agent by a signal and reap it."""
        if self._process is not None:
            self._process.send_signal(number)
            self._process.wait(LIMIT_S)
            self._process = None

    def cut_power(self) -> None:
        """The node is gone at once, with all that runs; the next agent finds another boot id."""
        self.end(signal.SIGKILL)
        execs = (*exec_shims_below(self.run).values(), *supervisors_below(self.run))
        for shim in (*execs, *shims_below(self.run).values()):
            end_with_children(shim)
        self.env["SEAWAY_BOOT_ID"] = secrets.token_hex(8)

    async def until(self, condition: Callable[[], object], say: Callable[[], str] = lambda: "") -> None:
        """Wait for a condition, plain or async; `say` tells what is wrong when it doesn't come."""
        end = time.monotonic() + LIMIT_S
        while True:
            found = condition()
            if asyncio.iscoroutine(found):
                found = await found
            if found:
                return
            assert time.monotonic() < end, say() + (self.base / "agent.log").read_text()[-3000:]
            await asyncio.sleep(0.01)

    # --- commands

    def spec(self, *args: str, net: str = "none", **fields: object) -> ContainerSpec:
        container = secrets.token_hex(32)
        process = fields.pop("command", None) or Process(cmd=args)
        return ContainerSpec(
            id=container,
            name=f"c{container[:6]}",
            created_ns=time.time_ns(),
            image=ImageUse(ref="busybox", id="sha256:0", layers=(self.blobs.layer,)),
            command=process,  # type: ignore[arg-type]
            network=fields.pop("network", None) or networking(net),  # type: ignore[arg-type]
            **fields,  # type: ignore[arg-type]
        )

    async def create(
        self, spec: ContainerSpec, command: Command | None = None, volumes: Sequence[VolumeRecord] | None = None
    ) -> str:
        """`volumes`: the records of its volumes with a name; made for it unless they are given."""
        self._metadata.register(spec, self.node)
        asked = CreateContainer(spec=spec, volumes=self._volume_records(spec) if volumes is None else tuple(volumes))
        await self.bus.call(catalogue.CREATE, asked, node=self.node, command=command)
        return spec.id

    def _volume_records(self, spec: ContainerSpec) -> tuple[VolumeRecord, ...]:
        """What metadata would send with a container: the records of its volumes with a name."""
        named = [mount for mount in spec.mounts if mount.type == "volume" and not mount.anonymous]
        return tuple(
            VolumeRecord(
                id=hashlib.sha256(mount.source.encode()).hexdigest(),
                name=mount.source,
                created_ns=1,
                node=self.node,
                options=mount.volume_options,
                made_for=self._volumes_made_for.setdefault(mount.source, spec.id),
            )
            for mount in named
        )

    async def start_container(self, container: str, command: Command | None = None) -> StatusReply:
        return await self.bus.call(catalogue.START, ContainerId(id=container), node=self.node, command=command)

    async def stop(self, container: str, timeout_s: int = 10) -> StatusReply:
        asked = StopContainer(id=container, timeout_s=timeout_s)
        return await self.bus.call(catalogue.STOP, asked, node=self.node)

    async def remove(self, container: str, *, force: bool = False, command: Command | None = None) -> StatusReply:
        asked = RemoveContainer(id=container, force=force, volumes=True)
        return await self.bus.call(catalogue.REMOVE, asked, node=self.node, command=command)

    async def ran(self, *args: str, **fields: object) -> str:
        """Create, start and wait for the end; the container's id."""
        container = await self.create(self.spec(*args, **fields))
        await self.start_container(container)
        await self.died(container)
        return container

    async def inventory(self, *ids: str) -> dict[str, InventoryItem]:
        reply = await self.bus.call(catalogue.INVENTORY, ListInventory(ids=ids), node=self.node, timeout_s=1)
        return {item.spec.id: item for item in reply.containers}

    def output(self, container: str) -> str:
        log = self.root / "agent" / self.node / "containers" / container / "ctr.log"
        return Reader(raw=True).feed(log.read_bytes()).decode()

    # --- events

    def told(self, container: str) -> list[str]:
        """The container's events, in the order in which they arrived."""
        return [e.envelope.action for e in self.events if e.envelope.subject_id == container]

    async def stored(self) -> list[Event]:
        """This node's events in the stream."""
        found = history(self.bus.transport, start_ns=self._began_ns, subject=catalogue.events_of(self.node))
        return [event async for event in found]

    async def all_stored(self) -> None:
        """Wait until the stream has the events that have come, each thing's in the order in which they came."""

        async def they_are() -> bool:
            return _by_thing(await self.stored()) == _by_thing(self.events)

        await self.until(they_are, lambda: str([event.envelope for event in self.events]))

    def story(self, container: str) -> str:
        """The container's events in full, and the agent's log, to explain a failure."""
        lines = []
        for event in self.events:
            envelope = event.envelope
            if envelope.subject_id == container:
                status = ContainerEvent.model_validate_json(event.data).status
                place = f"seq={envelope.seq} cause={envelope.cause} run={status.run}"
                lines.append(f"{envelope.action} {place} {status.state}")
        return "\n".join([*lines, (self.base / "agent.log").read_text()[-3000:]])

    async def died(self, container: str, times: int = 1) -> ContainerEvent:
        await self.until(lambda: self.told(container).count("die") >= times)
        event = [e for e in self.events if e.envelope.subject_id == container and e.envelope.action == "die"][times - 1]
        return ContainerEvent.model_validate_json(event.data)

    async def wait_for(self, container: str, action: str) -> None:
        await self.until(lambda: action in self.told(container))

    def shims(self) -> list[int]:
        """The conmon processes that work for this node."""
        mark, found = os.fsencode(f"{self.run}/"), []
        for entry in Path("/proc").iterdir():
            if entry.name.isdigit():
                try:
                    line = (entry / "cmdline").read_bytes()
                except OSError:
                    continue
                if line.startswith(b"/usr/bin/conmon") and mark in line:
                    found.append(int(entry.name))
        return found


def _by_thing(events: Sequence[Event]) -> dict[str, list[str]]:
    """The ids of events by the container, or what else they are about."""
    found: dict[str, list[str]] = {}
    for event in events:
        thing = container_of(event.envelope, event.data) or event.envelope.subject_id
        found.setdefault(thing, []).append(event.envelope.id)
    return found


def numbered(spec: ContainerSpec, first: str) -> ContainerSpec:
    """With an id that begins so: recovery looks at containers in the order of their ids."""
    return spec.model_copy(update={"id": first + spec.id[len(first) :]})
