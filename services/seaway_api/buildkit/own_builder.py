"""Seaway's own builder: a container of the image moby/buildkit, made at the first build, started again when it ended.

Its name makes it the only one of the suite, whichever API asks. It has no privileges on the host's network, and grants
no build the entitlements `network.host` and `security.insecure`. Its cache is in a volume, bounded by its own rules.
"""

import asyncio
import logging
from typing import Final

import orjson

from seaway_api.buildkit.builder import NoBuilder
from seaway_api.buildkit.container import LABEL, NAME, find_builder, is_running
from seaway_api.buildkit.exec_pipe import ExecPipe, dial
from seaway_api.translate.checked import check_create
from seaway_api.translate.request import container_request
from seaway_bus.bus import Bus, Command
from seaway_cluster.make import ContainerCreator
from seaway_cluster.request import Companions, ContainerRequest
from seaway_cluster.run import run
from seaway_cluster.start_and_remove import remove, start
from seaway_contracts import catalogue as cat
from seaway_contracts.base import Empty
from seaway_contracts.commands import RemoveContainer
from seaway_contracts.containers import ContainerRecord
from seaway_contracts.errors import Code, Reason, SeawayError
from seaway_contracts.images import ImageRef, PullRequest
from seaway_contracts.records import ResolveContainer
from seaway_contracts.volumes import RemoveVolume, VolumeRef
from seaway_docker.go_json import decode_body
from seaway_docker.model_container import ContainerCreate
from seaway_docker.references import parse_reference
from seaway_kit.tasks import Tasks

log = logging.getLogger(__name__)
ACTOR: Final = "seaway"
_CACHE_PATH: Final = "/var/lib/buildkit"
_MB: Final = 1_000_000
_PROBE: Final = ("buildctl", "debug", "workers")
_READY_S: Final = 30.0
_PAUSE_S: Final = 0.2
_FAILED_S: Final = 3.0
_ATTEMPTS: Final = 3
_ADVICE: Final = (
    "Name a BuildKit that runs (seaway up --buildkit unix:///PATH), or build without it: DOCKER_BUILDKIT=0 docker build"
)
_AWAY: Final = (
    f"the builder ({{what}} {NAME}) is on node {{node}}, which is down: start that node, or, if it doesn't come back, "
    f"remove it (seaway node rm {{node}} --force), and the next build makes a builder on another node. {_ADVICE}"
)


def builder_request(image: str, cache: int) -> ContainerRequest:
    """The container that is the builder. `cache`: how many bytes it keeps."""
    body = {
        "Image": image,
        "Labels": {LABEL: image},
        "Cmd": ["--oci-worker-gc", "--oci-worker-gc-keepstorage", str(max(1, cache // _MB))],
        "HostConfig": {
            "Privileged": True,
            "Mounts": [{"Type": "volume", "Source": NAME, "Target": _CACHE_PATH}],
        },
    }
    return container_request(check_create(decode_body(ContainerCreate, orjson.dumps(body))), Companions())


class OwnBuilder:
    """The builder's container, found or made."""

    place = f"container {NAME}"

    def __init__(self, bus: Bus, tasks: Tasks, image: str, cache: int) -> None:
        """`cache`: how many bytes it keeps. `tasks` carry connections."""
        self._bus = bus
        self._tasks = tasks
        self._image = image
        self._cache = cache
        self._turn = asyncio.Lock()
        self._known: ContainerRecord | None = None
        self._failure: SeawayError | None = None
        self._failure_until = 0.0

    async def connect(self) -> ExecPipe:
        """A fresh connection; the container is made, started and awaited if need be. Raises NoBuilder."""
        try:
            for _ in range(_ATTEMPTS):
                record = await self._running()
                try:
                    return await dial(self._bus, self._tasks, ACTOR, record.id, record.node)
                except SeawayError as error:
                    if error.code is not Code.NOT_FOUND and error.reason is not Reason.NOT_RUNNING:
                        raise
                    self._known = None
        except SeawayError as error:
            raise NoBuilder(f"the builder (container {NAME}) can't be used: {error.message}. {_ADVICE}") from error
        raise NoBuilder(f"the builder (container {NAME}) ends as soon as it is started: see docker logs {NAME}")

    async def is_there(self) -> bool:
        """Whether its container runs. Raises NoBuilder."""
        try:
            return is_running(await find_builder(self._bus))
        except SeawayError as error:
            raise NoBuilder(error.message) from error

    async def _running(self) -> ContainerRecord:
        async with self._turn:
            if self._known is None or self._bus.down_nodes.is_down(self._known.node):
                self._known = await self._ready_one()
            return self._known

    async def _ready_one(self) -> ContainerRecord:
        """The container, running. A failure counts for a while: a client asks several times for each of its builds."""
        now = asyncio.get_running_loop().time
        if self._failure is not None and now() < self._failure_until:
            raise SeawayError(self._failure.code, self._failure.message)
        try:
            record = await self._right_one() or await self._make()
            await self._start(record)
            await self._until_it_answers(record)
        except SeawayError as error:
            self._failure, self._failure_until = error, now() + _FAILED_S
            raise
        self._failure = None
        return record

    async def _right_one(self) -> ContainerRecord | None:
        """The container that is there; one of another image is removed, its cache stays.

        Raises NoBuilder where its node is down: a second one could meet the first when the node is back.
        """
        record = await find_builder(self._bus)
        if record is not None:
            self._need_node("container", record.node)
        if record is None or record.spec.labels[LABEL] == self._image:
            return record
        log.info("the builder changes from %s to %s", record.spec.labels[LABEL], self._image)
        await remove(self._bus, ACTOR, self._record, RemoveContainer(id=record.id, force=True), record.node)
        return None

    def _need_node(self, what: str, node: str) -> None:
        if self._bus.down_nodes.is_down(node):
            raise NoBuilder(_AWAY.format(what=what, node=node))

    async def _record(self, ref: str) -> ContainerRecord:
        return await self._bus.call(cat.GET_CONTAINER, ResolveContainer(ref=ref))

    async def _make(self) -> ContainerRecord:
        await self._need_image()
        await self._forget_lost_cache()
        creator = ContainerCreator(self._bus, self._tasks, ACTOR)
        try:
            made = await creator.make(builder_request(self._image, self._cache), (NAME,))
        except SeawayError as error:
            if error.code is Code.CONFLICT and (record := await find_builder(self._bus)) is not None:
                return record  # another API was quicker
            raise
        return ContainerRecord(spec=made.spec, node=made.node, status=made.status)

    async def _forget_lost_cache(self) -> None:
        """A cache on a node that was removed from the cluster would bind the new builder to that node."""
        try:
            volume = (await self._bus.call(cat.GET_VOLUME, VolumeRef(name=NAME))).volume
        except SeawayError as error:
            if error.code is not Code.NOT_FOUND:
                raise
            return
        nodes = {record.node for record in (await self._bus.call(cat.LIST_NODES, Empty())).nodes}
        if volume.node in nodes:
            self._need_node("volume", volume.node)
        elif volume.node:
            log.info("the builder's cache was on node %s, which was removed: it begins anew", volume.node)
            removal = RemoveVolume(id=volume.id, name=NAME, force=True)
            await self._bus.call(cat.REMOVE_VOLUME, removal, command=Command.new(ACTOR))

    async def _need_image(self) -> None:
        try:
            await self._bus.call(cat.GET_IMAGE, ImageRef(ref=self._image))
            return
        except SeawayError as error:
            if error.code is not Code.NOT_FOUND:
                raise
        reference = parse_reference(self._image).with_default_tag()
        log.info("pulling the builder's image %s", reference.familiar)
        async with self._bus.new_stream(self._tasks, service="image") as stream:
            request = PullRequest(ref=reference.familiar, stream=stream.id)
            await self._bus.call(cat.PULL_IMAGE, request, command=Command.new(ACTOR))
            while await stream.read():
                pass
            await stream.end()

    async def _start(self, record: ContainerRecord) -> None:
        try:
            await start(self._bus, ACTOR, self._record, record.id, record.node)
        except SeawayError as error:
            if error.code is not Code.NOT_MODIFIED:
                raise

    async def _until_it_answers(self, record: ContainerRecord) -> None:
        """Wait for buildkitd's socket. Raises SeawayError, with what the last try said."""
        said = b""
        try:
            async with asyncio.timeout(_READY_S):
                while True:
                    probe = await run(self._bus, self._tasks, ACTOR, record.id, record.node, _PROBE)
                    if probe.exit_code == 0:
                        return
                    said = probe.output
                    await asyncio.sleep(_PAUSE_S)
        except TimeoutError:
            why = said.decode("utf-8", "replace").strip() or "it says nothing"
            raise SeawayError(Code.TIMEOUT, f"buildkitd has not begun within {_READY_S:g} s ({why})") from None
