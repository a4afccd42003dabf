"""Layers on their way to registries: looked for, mounted or sent; some at once, and each only once at a time."""

import asyncio
import random
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import aclosing, asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import Final

from seaway_docker.references import Reference
from seaway_image.oci.digests import Digest, short
from seaway_image.registry.push_plan import (
    PlannedLayer,
    checks_for,
    is_final,
    mounts_for,
    path_of,
    retry_lines,
)
from seaway_image.registry.refusals import Refusal, push_error
from seaway_image.registry.session import ATTEMPTS, backoff
from seaway_image.registry.transport import Unreachable
from seaway_image.registry.upload import BlobUpload, Content, StoredContent, Target
from seaway_image.store.blobs import Blob
from seaway_image.store.gzip_spool import gzipped
from seaway_image.store.image_store import ImageStore
from seaway_image.store.progress import Emit, Progress, SharedWork
from seaway_image.store.remote_blobs import RemoteBlob
from seaway_kit.tasks import Tasks

PARALLEL: Final = 5
_TICK_S: Final = 0.1
Sleep = Callable[[float], Awaitable[None]]


@dataclass
class _Delivery:
    """The upload that several pushes wait for, and what came of it."""

    shared: SharedWork | None = None
    blobs: list[Blob] = field(default_factory=list)


class Uploads:
    """All uploads of this service; at most `parallel` at once."""

    def __init__(
        self, store: ImageStore, tasks: Tasks, *, parallel: int = PARALLEL, sleep: Sleep = asyncio.sleep
    ) -> None:
        self._store = store
        self._tasks = tasks
        self._slots = asyncio.Semaphore(parallel)
        self._sleep = sleep
        self._running: dict[tuple[str, str, str], _Delivery] = {}

    async def deliver(self, layer: PlannedLayer, target: Target, account: str, emit: Emit) -> Blob:
        """See to it that the repository has the layer; gives the blob that it has. Raises SeawayError.

        Pushes of one `account` share the upload. Whoever leaves last takes it with him.
        """

        async def work(emit: Emit) -> Blob:
            if self._slots.locked():
                emit(Progress("Waiting", short(layer.stored.diff_id)))
            async with self._slots:
                return await _LayerUpload(self._store, self._tasks, layer, target, emit, self._sleep).run()

        return await self._shared((target.session.repository.name, layer.key, account), work, emit)

    async def deliver_config(self, config: Digest, target: Target, account: str) -> Blob:
        """The same for a config, of which nothing is told."""

        async def work(_: Emit) -> Blob:
            return await _send(self._store, target, config, self._sleep)

        return await self._shared((target.session.repository.name, config, account), work, lambda _: None)

    async def _shared(self, key: tuple[str, str, str], work: Callable[[Emit], Awaitable[Blob]], emit: Emit) -> Blob:
        delivery = self._running.get(key) or self._start(key, work)
        assert delivery.shared is not None  # set by `_start`
        async with aclosing(delivery.shared.follow()) as lines:
            async for progress in lines:
                emit(progress)
        return delivery.blobs[0]

    def _start(self, key: tuple[str, str, str], work: Callable[[Emit], Awaitable[Blob]]) -> _Delivery:
        delivery = self._running[key] = _Delivery()

        async def deliver(emit: Emit) -> None:
            delivery.blobs.append(await work(emit))

        def ended() -> None:
            if self._running.get(key) is delivery:
                del self._running[key]

        delivery.shared = SharedWork(f"upload {key[1]} to {key[0]}", deliver, self._tasks, ended)
        return delivery


class _LayerUpload:
    def __init__(
        self, store: ImageStore, tasks: Tasks, layer: PlannedLayer, target: Target, emit: Emit, sleep: Sleep
    ) -> None:
        self._store = store
        self._tasks = tasks
        self._layer = layer
        self._target = target
        self._name = short(layer.stored.diff_id)
        self._emit = emit
        self._sleep = sleep
        self._meter = Meter(self._name, layer.stored.size, emit)

    async def run(self) -> Blob:
        """Found, mounted or sent."""
        blob = await self._found()
        if blob is None:
            blob, place = await self._mounted()
            if blob is None:
                blob = await self._sent(place)
        self._remember(blob)
        return blob

    @property
    def _repository(self) -> Reference:
        return self._target.session.repository

    async def _found(self) -> Blob | None:
        known = self._store.sources.of(self._layer.stored.diff_id)
        for digest, size in checks_for(self._layer, self._repository, known):
            try:
                there = await self._target.holds(digest, size)
            except Unreachable:  # the upload says so, after some tries
                return None
            if there:
                self._emit(Progress("Layer already exists", self._name))
                return Blob(digest, size)
            for one in known:
                if (one.digest, one.repository) == (digest, self._repository.name):
                    self._store.sources.remove(one)
        return None

    async def _mounted(self) -> tuple[Blob | None, str]:
        """The blob from another repository; else where an upload of it has been opened, if one has."""
        place = ""
        known = self._store.sources.of(self._layer.stored.diff_id)
        for source in mounts_for(self._layer, self._repository, known):
            try:
                opened = await self._target.mount(source.digest, path_of(source))
            except (Refusal, Unreachable):
                continue
            if place:
                await self._target.cancel(place)
            if opened is None:
                self._emit(Progress(f"Mounted from {path_of(source)}", self._name))
                return Blob(source.digest, source.size), ""
            self._store.sources.remove(source)
            place = opened
        return None, place

    async def _sent(self, place: str) -> Blob:
        async with self._content() as content:
            upload = BlobUpload(self._target, content, self._meter, place)
            try:
                blob = await retried(upload.attempt, self._tell, self._sleep)
            except BaseException:
                self._tasks.spawn("cancel-upload", upload.give_up())
                raise
        self._emit(Progress("Pushed", self._name))
        return blob

    def _tell(self, line: str) -> None:
        self._emit(Progress(line, self._name))

    @asynccontextmanager
    async def _content(self) -> AsyncIterator[Content]:
        """A compressed layer's progress is told in bytes of its tar."""
        blobs, stored = self._store.blobs, self._layer.stored
        if not self._layer.packed:
            yield StoredContent(blobs, Blob(stored.digest, blobs.require(stored.digest)))
            return
        async with gzipped(blobs.path(stored.digest), stored.diff_id, blobs.tmp, self._tasks) as spool:
            self._meter.measure = lambda _: spool.consumed
            yield spool

    def _remember(self, blob: Blob) -> None:
        self._store.sources.add(
            RemoteBlob(
                diff_id=self._layer.stored.diff_id,
                digest=blob.digest,
                size=blob.size,
                compression=self._layer.compression,
                repository=self._repository.name,
            )
        )


class Meter:
    """Tells how an upload goes, ten times a second at most."""

    def __init__(self, layer: str, total: int, emit: Emit) -> None:
        self.measure: Callable[[int], int] = lambda sent: sent
        self._layer = layer
        self._total = total
        self._emit = emit
        self._next = 0.0

    def __call__(self, sent: int) -> None:
        now = asyncio.get_running_loop().time()
        current = self.measure(sent)
        if now >= self._next or current >= self._total:
            self._next = now + _TICK_S
            self._emit(Progress("Pushing", self._layer, current, self._total))


async def retried(attempt: Callable[[], Awaitable[Blob]], tell: Callable[[str], None], sleep: Sleep) -> Blob:
    """Try up to five times, and say how long it waits between; raises SeawayError in Docker's words."""
    for number in range(1, ATTEMPTS + 1):
        wait = None
        try:
            return await attempt()
        except Refusal as refusal:
            if number == ATTEMPTS or is_final(refusal.status, refusal.code):
                raise push_error(refusal) from refusal
            wait = refusal.retry_after_s
        except Unreachable:
            if number == ATTEMPTS:
                raise
        left = backoff(number, wait, random.uniform(0.75, 1.25))
        for line in retry_lines(left):
            tell(line)
            await sleep(min(1.0, left))
            left -= 1.0
    raise RuntimeError("no attempt was made")


async def _send(store: ImageStore, target: Target, digest: Digest, sleep: Sleep) -> Blob:
    """See to it that the repository has a small blob."""
    blob = Blob(digest, store.blobs.require(digest))
    with suppress(Unreachable):  # the upload says so, after some tries
        if await target.holds(digest, blob.size):
            return blob
    upload = BlobUpload(target, StoredContent(store.blobs, blob), lambda _: None)
    return await retried(upload.attempt, lambda _: None, sleep)


def first(failures: BaseExceptionGroup[BaseException]) -> BaseException:
    """The failure that a group of tasks is about."""
    found = failures.exceptions[0]
    return first(found) if isinstance(found, BaseExceptionGroup) else found
