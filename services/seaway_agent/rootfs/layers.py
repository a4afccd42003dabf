"""The agent's store of unpacked image layers, addressed by chain id.

On disk, below the store's root (mode 0700, since layers contain set-uid files):

    <first 12 digits of the chain id>/diff         the layer, a lower directory of overlays
    <first 12 digits of the chain id>/init         the init layer of the image that ends with this layer
    <first 12 digits of the chain id>/layer.json   its record
    scratch/init                                   the init layer of an image without layers
    tmp-*, trash-*                                 being made or removed; removed at the start

A layer appears by one rename, complete and verified, or not at all.
"""

import asyncio
import contextlib
import errno
import functools
import logging
import os
import re
from collections import Counter
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Collection, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Final
from weakref import WeakValueDictionary

from seaway_agent.rootfs import tree
from seaway_agent.rootfs.errors import LayerTooLarge, StorageFull
from seaway_agent.rootfs.initlayer import build_init_layer
from seaway_agent.rootfs.layer_record import DIFF, LayerRecord, count, is_whole, load_record
from seaway_agent.rootfs.limits import Limits
from seaway_agent.rootfs.merged import inherit_attributes
from seaway_agent.rootfs.names import chain_ids
from seaway_agent.rootfs.threads import BytePipe, PipeClosed, run_to_end, wait_until_done
from seaway_agent.rootfs.tree import spread_children
from seaway_agent.rootfs.unpack import Unpacked, unpack_layer
from seaway_contracts.errors import Code, SeawayError
from seaway_contracts.images import Layer
from seaway_kit.failpoints import Failpoint, reach

Fetch = Callable[[str, int], AsyncIterator[bytes]]
"""`fetch(digest, size)` yields the blob's bytes; `ensure` passes its errors on unchanged."""

MOST_LAYERS: Final = 127
_AT_ONCE: Final = 2
_SHORT: Final = 12
_INIT: Final = "init"
_SCRATCH: Final = "scratch"
_TMP: Final = "tmp-"
_TRASH: Final = "trash-"
# The start removes nothing else: the configured root may be a wrong directory.
_OURS: Final = re.compile(rf"({_TMP}|{_TRASH})[0-9a-f]{{16}}\Z|[0-9a-f]{{{_SHORT}}}([0-9a-f]{{{64 - _SHORT}}})?\Z")
FULL: Final = (errno.ENOSPC, errno.EDQUOT)
log = logging.getLogger(__name__)


class LayerStore:
    """Call `start()` once (it blocks), `close()` at the end, and all else in the event loop's thread."""

    def __init__(self, root: Path, boot_id: str, limits: Limits | None = None) -> None:
        self._root = root
        self._boot_id = boot_id
        self._limits = limits or Limits()
        self._layers: dict[str, tuple[Path, LayerRecord]] = {}
        self._in_use: Counter[str] = Counter()
        self._locks: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()
        self._slots = asyncio.Semaphore(_AT_ONCE)
        self._threads = ThreadPoolExecutor(_AT_ONCE, thread_name_prefix="unpack")

    def start(self) -> None:
        """Make the store, remove what a crash left, index the layers."""
        self._root.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._root.chmod(0o700)
        spread_children(self._root)
        for directory in list(self._root.iterdir()):
            if _OURS.match(directory.name) and not self._load(directory):
                tree.remove(directory)

    def close(self) -> None:
        """End the threads; call this when no `ensure` runs."""
        self._threads.shutdown()

    async def ensure(self, layers: Sequence[Layer], fetch: Fetch) -> list[str]:
        """The lower directories for an image's `layers` (bottom first): topmost first, its init layer at the top.

        Missing layers are fetched and unpacked, each once however many callers need it. Raises `LayerRejected`,
        `LayerTooLarge`, SeawayError (TOO_LARGE: a layer expands too far), `StorageFull`, and leaves no half-made layer.
        `drop` keeps these layers while this runs, and as long as the caller is `using` them.
        """
        with self.using(layers):
            lowers = await self.ensure_alone(layers, fetch)
            return [str(await self._ensure_init(chain_ids(layer.diff_id for layer in layers))), *lowers]

    async def ensure_alone(self, layers: Sequence[Layer], fetch: Fetch) -> tuple[str, ...]:
        """The same without the init layer."""
        if len(layers) > MOST_LAYERS:
            raise LayerTooLarge(f"the image has {len(layers)} layers; at most {MOST_LAYERS} are supported")
        chain = chain_ids(layer.diff_id for layer in layers)
        with self.using(layers):
            if not self.has(chain):
                await self._ensure_all(layers, chain, fetch)
            return self.lowers(layers)

    def lowers(self, layers: Sequence[Layer]) -> tuple[str, ...]:
        """The directories of layers that are unpacked, topmost first; KeyError for others."""
        return tuple(map(str, self._lowers(chain_ids(layer.diff_id for layer in layers))))

    def has(self, chain: Sequence[str]) -> bool:
        """Whether all layers of `chain` are unpacked."""
        return all(chain_id in self._layers for chain_id in chain)

    def size(self, chain: Sequence[str]) -> int:
        """The bytes of the regular files in the layers of `chain` that are unpacked."""
        return sum(self._layers[chain_id][1].size for chain_id in chain if chain_id in self._layers)

    def usage(self) -> int:
        """The bytes of all regular files in the store."""
        return self.size(list(self._layers))

    async def drop(self, keep: Collection[str]) -> int:
        """Remove all layers except those of `keep` (chain ids) and the layers below them; the bytes freed."""
        kept = self._with_parents({*keep, *self._in_use})
        gone = [self._layers.pop(chain_id) for chain_id in list(self._layers) if chain_id not in kept]
        trash = [directory.rename(self._new(_TRASH)) for directory, _ in gone]
        await asyncio.to_thread(_remove_all, trash)
        return sum(record.size for _, record in gone)

    async def _ensure_all(self, layers: Sequence[Layer], chain: list[str], fetch: Fetch) -> None:
        below: asyncio.Task[None] | None = None
        try:
            async with asyncio.TaskGroup() as group:
                for index, layer in enumerate(layers):
                    work = self._ensure_one(layer, chain[: index + 1], fetch, below)
                    below = group.create_task(work, name=f"layers/{layer.diff_id[:19]}")
        except BaseExceptionGroup as failed:
            raise failed.exceptions[0] from None

    async def _ensure_one(self, layer: Layer, chain: list[str], fetch: Fetch, below: asyncio.Task[None] | None) -> None:
        lock = self._locks.setdefault(chain[-1], asyncio.Lock())
        async with lock:
            if chain[-1] not in self._layers:
                await self._make(layer, chain, fetch, below)

    async def _make(self, layer: Layer, chain: list[str], fetch: Fetch, below: asyncio.Task[None] | None) -> None:
        """Unpack a layer in a scratch directory, in parallel with others; move it in place after the layers below."""
        scratch = self._new(_TMP)
        try:
            async with self._slots:
                unpacked = await self._unpack(layer, fetch, scratch)
            reach(Failpoint.UNPACK_LAYER)
            if below is not None:
                await below
            record = await run_to_end(functools.partial(self._commit, scratch, chain, layer, unpacked))
            reach(Failpoint.UNPACK_PLACED)
            self._layers[chain[-1]] = record
        except BaseException as error:
            await wait_until_done(asyncio.get_running_loop().run_in_executor(None, tree.remove, scratch))
            if isinstance(error, OSError):
                raise self._as_seaway_error(error, layer) from error
            raise

    async def _unpack(self, layer: Layer, fetch: Fetch, scratch: Path) -> Unpacked:
        pipe = BytePipe()
        work = asyncio.get_running_loop().run_in_executor(self._threads, self._work, pipe, layer, scratch)
        try:
            with contextlib.suppress(PipeClosed):  # the thread has failed, and its result says why
                await _feed(pipe, fetch(layer.digest, layer.size))
                pipe.end()
            await asyncio.wait([work])
        except BaseException:
            pipe.fail()
            await wait_until_done(work)
            raise
        return work.result()

    def _work(self, pipe: BytePipe, layer: Layer, scratch: Path) -> Unpacked:
        try:
            diff = scratch / DIFF
            scratch.mkdir(mode=0o700)
            diff.mkdir()
            diff.chmod(0o755)
            return unpack_layer(pipe.read, diff, layer, self._limits)
        finally:
            pipe.abandon()

    def _commit(self, scratch: Path, chain: list[str], layer: Layer, unpacked: Unpacked) -> tuple[Path, LayerRecord]:
        inherit_attributes(scratch / DIFF, unpacked.implied, self._lowers(chain[:-1]))
        inodes, disk_size = count(scratch / DIFF)
        record = LayerRecord(
            chain_id=chain[-1],
            parent=chain[-2] if len(chain) > 1 else "",
            diff_id=layer.diff_id,
            size=unpacked.size,
            opaque_root=unpacked.opaque_root,
            inodes=inodes,
            disk_size=disk_size,
            boot_id=self._boot_id,
        )
        record.save(scratch)
        return scratch.rename(self._directory_for(chain[-1])), record

    async def _ensure_init(self, chain: list[str]) -> Path:
        home = self._layers[chain[-1]][0] if chain else self._root / _SCRATCH
        if not (home / _INIT).is_dir():
            async with self._locks.setdefault(home.name, asyncio.Lock()):
                await run_to_end(functools.partial(self._make_init, home, self._lowers(chain)))
        return home / _INIT

    def _make_init(self, home: Path, lowers: list[Path]) -> None:
        if (home / _INIT).is_dir():
            return
        scratch = self._new(_TMP)
        try:
            scratch.mkdir()
            scratch.chmod(0o755)
            build_init_layer(lowers, scratch)
            reach(Failpoint.UNPACK_INIT)
            home.mkdir(mode=0o700, exist_ok=True)
            scratch.rename(home / _INIT)
        except OSError as error:
            raise self._as_seaway_error(error, None) from error
        finally:
            tree.remove(scratch)

    def _lowers(self, chain: Sequence[str]) -> list[Path]:
        """The layers of `chain`, topmost first, down to the first that hides all below."""
        lowers = []
        for chain_id in reversed(chain):
            directory, record = self._layers[chain_id]
            lowers.append(directory / DIFF)
            if record.opaque_root:
                break
        return lowers

    def _load(self, directory: Path) -> bool:
        """Add a layer to the index; False if it isn't complete."""
        record = load_record(directory)
        if record is None or directory.name.startswith((_TMP, _TRASH)):
            return False
        if record.boot_id != self._boot_id:
            if not is_whole(record, directory / DIFF):
                log.warning("layer %s is damaged, probably by a power cut, and is fetched again", record.chain_id)
                return False
            record = replace(record, boot_id=self._boot_id)
            record.save(directory)
        self._layers[record.chain_id] = (directory, record)
        return True

    def _directory_for(self, chain_id: str) -> Path:
        """The directory of a new layer: a short name, unless another layer has it."""
        digits = chain_id.partition(":")[2]
        short = self._root / digits[:_SHORT]
        return self._root / digits if short.exists() else short

    def _with_parents(self, chain_ids: set[str]) -> set[str]:
        kept: set[str] = set()
        for chain_id in chain_ids:
            while chain_id in self._layers and chain_id not in kept:
                kept.add(chain_id)
                chain_id = self._layers[chain_id][1].parent
        return kept

    @contextlib.contextmanager
    def using(self, layers: Sequence[Layer]) -> Iterator[None]:
        """Protect an image's layers (bottom first) from `drop`."""
        chain = chain_ids(layer.diff_id for layer in layers)
        self._in_use.update(chain)
        try:
            yield
        finally:
            self._in_use.subtract(chain)
            self._in_use += Counter()

    def _new(self, prefix: str) -> Path:
        return self._root / f"{prefix}{os.urandom(8).hex()}"

    def _as_seaway_error(self, error: OSError, layer: Layer | None) -> SeawayError:
        what = f"layer {layer.digest}" if layer else "the init layer"
        if error.errno in FULL:
            return StorageFull(f"no space left in {self._root} to unpack {what}: free some, or remove unused images")
        return SeawayError(Code.INTERNAL, f"{what} can't be unpacked in {self._root}: {error}")


async def _feed(pipe: BytePipe, blob: AsyncIterator[bytes]) -> None:
    try:
        async for data in blob:
            await pipe.feed(data)
    finally:
        if isinstance(blob, AsyncGenerator):
            await blob.aclose()


def _remove_all(paths: list[Path]) -> None:
    for path in paths:
        try:
            tree.remove(path)
        except OSError as error:
            log.warning("can't remove %s; the next start tries again: %s", path, error)
