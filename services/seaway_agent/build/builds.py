"""The builds of this node: each takes its context, waits for its bases, runs, and leaves nothing behind."""

import asyncio
import contextlib
import logging
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import AsyncExitStack, aclosing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from pydantic import ValidationError

from seaway_agent.archive.transfer import fail, produced_live, receive
from seaway_agent.archive.walk import Write
from seaway_agent.build import remote
from seaway_agent.build.build_cgroup import BuildCgroup
from seaway_agent.build.builder import Builder, BuildStopped
from seaway_agent.build.cache import Cache, Gate
from seaway_agent.build.course import Course
from seaway_agent.build.kept import SHORT
from seaway_agent.build.step_rules import StepSetup
from seaway_agent.build.store import BuildStore
from seaway_agent.build.workspace import Workspace
from seaway_agent.kernel.launcher import Launcher
from seaway_agent.rootfs.threads import run_to_end
from seaway_agent.settings import BuildLimits
from seaway_bus.bus import Bus, Command
from seaway_bus.streams import ByteStream
from seaway_contracts.builds import (
    BuildEvent,
    BuildGo,
    BuildOptions,
    BuildPlan,
    BuildRecord,
    BuildStep,
    CancelledBuild,
    StartBuild,
)
from seaway_contracts.catalogue import BUILD_END, BUILD_START
from seaway_contracts.channels import EventChannel
from seaway_contracts.errors import SeawayError, bad_request, conflict, internal, unavailable
from seaway_contracts.ids import is_container_id
from seaway_docker.dockerfile_stages import Outline, outline, resolved, same_platform
from seaway_docker.errors import InvalidParameter
from seaway_kit.failpoints import Failpoint, reach
from seaway_kit.tasks import Tasks, cancel

log = logging.getLogger(__name__)
MISSING: Final = "there is no builder on node {node}: install the package buildah there (apt-get install buildah)"
_USED: Final = "--> "
_MOST_GO: Final = 4 << 20
_WAITING: Final = 1000
_RUNNING: Final = "w"


TellEvent = Callable[[EventChannel[BuildEvent], str, dict[str, str], Command], None]
"""Publishes the event of a build with these attributes, caused by a command."""


@dataclass(frozen=True)
class BuildPlace:
    """Where builds run. `buildah` is empty on a node without it; `root`: where builds and their cache are."""

    node: str
    buildah: str
    root: Path
    limits: BuildLimits


@dataclass
class _Build:
    """One build, as others see it."""

    id: str
    name: str
    command: Command
    stopped: asyncio.Event = field(default_factory=asyncio.Event)
    why: str = ""
    image: str = ""
    failed: bool = False
    used: set[str] = field(default_factory=set)

    def note(self, record: BuildRecord) -> None:
        """What its records say of it."""
        if record.kind == "line" and record.text.startswith(_USED):
            self.used.add(record.text.removeprefix(_USED))
        elif record.kind == "end":
            self.image, self.failed = ("", True) if record.code else (record.text, False)

    @property
    def outcome(self) -> dict[str, str]:
        """The attributes of its end."""
        if self.image:
            return {"outcome": "built", "image": self.image}
        return {"outcome": "failed" if self.failed else "stopped"}


class Builds:
    """Runs builds."""

    def __init__(
        self,
        place: BuildPlace,
        bus: Bus,
        tasks: Tasks,
        setup: StepSetup,
        platform: Mapping[str, str],
        tell: TellEvent,
    ) -> None:
        """`platform`: the variables that each Dockerfile has. `tell` publishes an event."""
        limits = place.limits
        self._node = place.node
        self._buildah = place.buildah
        self._root = place.root
        self._bus = bus
        self._tasks = tasks
        self._setup = setup
        self._limits = limits
        self._platform = platform
        self._tell = tell
        self._course = Course(place.buildah, setup.runtime, place.root / "store", setup.own_limits, limits.memory_bytes)
        self.store = BuildStore(place.buildah, place.root, setup.self_copying)
        self._gate = Gate()
        self.cache = Cache(self.store, limits.cache_bytes, self._gate)
        self._running: dict[str, _Build] = {}
        self._slots = asyncio.Semaphore(limits.at_once)
        self._threads = ThreadPoolExecutor(2 * limits.at_once, thread_name_prefix="build")

    @property
    def running(self) -> frozenset[str]:
        """The ids of the builds that are here, running or waiting."""
        return frozenset(self._running)

    def close(self) -> None:
        """Take no new work."""
        self._threads.shutdown(wait=False, cancel_futures=True)

    async def start(self, asked: StartBuild, command: Command) -> None:
        """Begin a build. Raises SeawayError where this node can't build."""
        if not self._buildah:
            raise unavailable(MISSING.format(node=self._node))
        if not is_container_id(asked.id):
            raise bad_request("a build's id has 64 hex digits")
        if asked.id in self._running:
            raise conflict(f"build {asked.id[:12]} runs already")
        if len(self._running) >= _WAITING:
            raise unavailable(f"node {self._node} has {_WAITING} builds waiting; try again later")
        build = self._running[asked.id] = _Build(asked.id, asked.name, command)
        try:
            stream = await self._bus.serve_stream(asked.stream, self._tasks).open()
            context = await self._bus.serve_stream(asked.context, self._tasks).open() if asked.context else None
        except BaseException:
            del self._running[asked.id]
            raise
        self._tasks.spawn(f"build-{asked.id[:12]}", self._serve(build, asked, stream, context))

    async def sweep(self) -> None:
        """Remove what builds of an agent before this one have left."""
        await asyncio.to_thread(self._sweep)

    def _sweep(self) -> None:
        try:
            self._setup.cgroups.sweep(self._root / _RUNNING)
            self.store.sweep()
            self.cache.load()
        except (OSError, SeawayError) as error:
            log.error("what builds have left can't be removed: %s", error)

    def cancel(self, identifier: str) -> CancelledBuild:
        """Stop a build, by its id or by its client's."""
        found = [one for one in self._running.values() if identifier and identifier in (one.id, one.name)]
        for build in found:
            build.why = "the build was cancelled"
            build.stopped.set()
        return CancelledBuild(found=bool(found))

    async def _serve(self, build: _Build, asked: StartBuild, stream: ByteStream, context: ByteStream | None) -> None:
        """The whole life of a build. It ends when it is done, stopped, out of time, or its caller has gone."""
        work = self._tasks.spawn(f"build-work-{asked.id[:12]}", self._work(build, asked, stream, context))
        gone = self._tasks.spawn(f"build-gone-{asked.id[:12]}", stream.wait_broken())
        stop = self._tasks.spawn(f"build-stop-{asked.id[:12]}", build.stopped.wait())
        try:
            await asyncio.wait({work, gone, stop}, timeout=self._limits.seconds, return_when=asyncio.FIRST_COMPLETED)
            if not work.done():
                why = build.why or f"the build took longer than {self._limits.seconds:.0f} s"
                await cancel(work)
                if not gone.done():
                    await fail(stream, SeawayError(unavailable("").code, why), "build")
        finally:
            for task in (work, gone, stop):
                await cancel(task)
            for one in (stream, context):
                if one is not None:
                    await one.close()
            del self._running[asked.id]
            self._tell(BUILD_END, build.id, build.outcome, build.command)
            self.cache.note(build.used)
            await self.cache.settle()

    async def _work(self, build: _Build, asked: StartBuild, stream: ByteStream, context: ByteStream | None) -> None:
        try:
            async with self._slots, self._gate.working(), AsyncExitStack() as stack:
                self._tell(BUILD_START, build.id, {}, build.command)
                workspace = Workspace(self._root / _RUNNING / asked.id, self._root / "mounts")
                stack.push_async_callback(run_to_end, lambda: self._clear(workspace))
                await asyncio.to_thread(workspace.make)
                reach(Failpoint.BUILD_MADE)
                dockerfile = await self._take_context(stack, workspace, asked, context)
                reach(Failpoint.BUILD_CONTEXT)
                plan = await asyncio.to_thread(self._plan, workspace, asked.options, dockerfile)
                build.failed = bool(plan.refused)
                await stream.write(_line(BuildRecord(kind="plan", plan=plan)))
                if not plan.refused:
                    await self._build(stack, workspace, build, asked, await _go(stream), stream)
            await stream.end()
        except OSError as error:
            build.failed = True
            await fail(stream, internal(f"node {self._node} can't build: {error}"), "build")
        except SeawayError as error:
            build.failed = True
            await fail(stream, error, "build")

    async def _take_context(
        self, stack: AsyncExitStack, workspace: Workspace, asked: StartBuild, context: ByteStream | None
    ) -> str:
        """Fill the context, from the client or from elsewhere; the Dockerfile's path in it."""
        if context is None:
            return await self._fetch_context(stack, workspace, asked)
        try:
            await receive(context, self._threads, lambda read: workspace.unpack(read, self._limits.context_bytes))
        except SeawayError as error:
            await fail(context, error, "build context")
            raise
        await context.end()
        return asked.options.dockerfile

    async def _fetch_context(self, stack: AsyncExitStack, workspace: Workspace, asked: StartBuild) -> str:
        cgroup = self._cgroup(stack, asked.id)

        def join(pid: int) -> None:
            cgroup.make()
            cgroup.take(pid)

        options = asked.options
        return await remote.fetch(options.remote, options.dockerfile, workspace, self._limits.context_bytes, join)

    def _cgroup(self, stack: AsyncExitStack, identifier: str, placed: str = "") -> BuildCgroup:
        """The build's cgroups, removed with the stack."""
        cgroup = self._setup.cgroups.of(identifier, self._limits.memory_bytes, placed)
        stack.push_async_callback(run_to_end, lambda: self._setup.cgroups.remove(cgroup))
        return cgroup

    def _clear(self, workspace: Workspace) -> None:
        """Remove a build's directory, and the working containers that it has if it was killed."""
        try:
            self.store.remove_containers(workspace.containers())
        except SeawayError as error:
            log.warning("%s", error)
        with contextlib.suppress(FileNotFoundError):
            workspace.remove()

    def _plan(self, workspace: Workspace, options: BuildOptions, dockerfile: str) -> BuildPlan:
        own = self._platform["TARGETPLATFORM"]
        if options.platform and not same_platform(options.platform, own):
            raise bad_request(
                f"node {self._node} builds for its own platform, {own}, and not for {options.platform[:64]}"
            )
        text = workspace.dockerfile(dockerfile)
        try:
            found = outline(text, options.args, options.target, self._platform)
        except InvalidParameter as error:
            raise bad_request(str(error)) from error
        workspace.write({"Dockerfile": resolved(text, found)})
        return _plan_of(found)

    async def _build(
        self,
        stack: AsyncExitStack,
        workspace: Workspace,
        build: _Build,
        asked: StartBuild,
        go: BuildGo,
        stream: ByteStream,
    ) -> None:
        step = await self._setup.prepare(stack, asked, workspace.directory, self._root)
        self._course.prepare(workspace, asked.options, go)
        launcher = Launcher(f"build-{asked.id[:12]}", self._setup.self_copying)
        await asyncio.to_thread(launcher.start)
        stack.push_async_callback(run_to_end, launcher.close)
        cgroup = self._cgroup(stack, asked.id, asked.options.resources.cgroup_parent)
        await asyncio.to_thread(self._setup.cgroups.place, workspace.directory, cgroup)

        builders: list[Builder] = []

        def produce(write: Write, flush: Callable[[], None]) -> None:
            def emit(record: BuildRecord) -> None:
                build.note(record)
                write(_line(record))

            builder = Builder(workspace, launcher, cgroup, step.rules, step.etc_files, emit, flush)
            builders.append(builder)
            with builder:
                emit(self._course.run(builder, workspace, asked.options, go))

        def stop() -> None:
            for builder in builders:
                builder.stop()

        try:
            async with aclosing(produced_live(self._threads, produce, stop)) as pieces:
                async for data in pieces:
                    await stream.write(data)
        except BuildStopped:
            raise unavailable("the build was stopped") from None
        finally:
            for builder in builders:
                build.used |= {name[:SHORT] for name in builder.caches}
                builder.close()


def _plan_of(found: Outline) -> BuildPlan:
    return BuildPlan(
        steps=tuple(BuildStep(stage=step.stage, text=step.text) for step in found.steps),
        stages=found.stages,
        target=found.target,
        froms=found.froms,
        bases=found.bases,
        unused=found.unused,
        gaps=found.gaps,
        refused=found.refused,
    )


def _line(record: BuildRecord) -> bytes:
    return record.model_dump_json(exclude_defaults=True).encode() + b"\n"


async def _go(stream: ByteStream) -> BuildGo:
    """What the caller sends before it ends its side. Raises SeawayError."""
    pieces, size = [], 0
    while data := await stream.read():
        pieces.append(data)
        size += len(data)
        if size > _MOST_GO:
            raise bad_request("the build's order is too long")
    try:
        return BuildGo.model_validate_json(b"".join(pieces))
    except ValidationError as error:
        raise bad_request(f"the build's order can't be read: {error.errors()[0]['msg']}") from None
