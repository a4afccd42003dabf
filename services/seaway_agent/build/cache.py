"""The node's build cache: what is in it, what was used when, and its bound."""

import asyncio
import json
import logging
import time
from collections.abc import AsyncIterator, Collection
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final

from seaway_agent.build.store import BuildStore, oldest, wanted
from seaway_agent.rootfs.threads import run_to_end
from seaway_contracts.builds import BuildCache, PruneBuildCache, PrunedBuildCache
from seaway_contracts.errors import SeawayError
from seaway_kit.private_files import write_private

log = logging.getLogger(__name__)
_MOST_LISTED: Final = 1_000
_MOST_KNOWN: Final = 20_000


class Gate:
    """Builds work at the same time; the store is cleaned while none does, and those that come then wait."""

    def __init__(self) -> None:
        self._at_work = 0
        self._open = asyncio.Event()
        self._open.set()
        self._lock = asyncio.Lock()

    @asynccontextmanager
    async def working(self) -> AsyncIterator[None]:
        """As long as a build uses the store."""
        while not self._open.is_set():
            await self._open.wait()
        self._at_work += 1
        try:
            yield
        finally:
            self._at_work -= 1

    @asynccontextmanager
    async def alone(self) -> AsyncIterator[bool]:
        """Keep builds waiting; False where one is at work already."""
        async with self._lock:
            if self._at_work:
                yield False
                return
            self._open.clear()
            try:
                yield True
            finally:
                self._open.set()


class Cache:
    """Removes nothing while a build is at work, which may need it."""

    def __init__(self, store: BuildStore, bound: int, gate: Gate) -> None:
        self._store = store
        self._bound = bound
        self._gate = gate
        self._used: dict[str, int] = {}

    @property
    def _file(self) -> Path:
        return self._store.root / "used.json"

    def load(self) -> None:
        """Read what an earlier agent wrote of uses."""
        try:
            found: Any = json.loads(self._file.read_bytes())
            self._used = {str(key): int(value) for key, value in found.items()}
        except (OSError, ValueError, TypeError, AttributeError):
            self._used = {}

    def note(self, short_ids: Collection[str]) -> None:
        """A build has used these, by the first 12 digits of their ids."""
        now = time.time_ns()
        for one in short_ids:
            self._used.pop(one, None)
            self._used[one] = now
        while len(self._used) > _MOST_KNOWN:
            del self._used[next(iter(self._used))]

    async def list(self) -> BuildCache:
        """What is there."""
        steps = await asyncio.to_thread(self._store.steps, dict(self._used))
        return BuildCache(steps=tuple(steps[:_MOST_LISTED]), left_out=max(0, len(steps) - _MOST_LISTED))

    async def prune(self, asked: PruneBuildCache) -> PrunedBuildCache:
        """Remove what is asked for. Raises SeawayError."""
        async with self._gate.alone() as alone:
            if not alone:
                return PrunedBuildCache()
            return await run_to_end(lambda: self._prune(asked))

    async def settle(self) -> None:
        """After a build: write down the uses; remove what killed ones left, and the oldest steps beyond the bound."""
        async with self._gate.alone() as alone:
            try:
                await run_to_end(lambda: self._settle(alone))
            except (SeawayError, OSError) as error:
                log.warning("the build cache can't be kept in bounds: %s", error)

    def _settle(self, alone: bool) -> None:
        if self._store.root.exists():
            write_private(self._file, json.dumps(self._used).encode())
        if not alone:
            return
        self._store.remove_containers()
        if self._store.size() > self._bound:
            freed = self._prune(PruneBuildCache(keep_bytes=self._bound))
            log.info("removed %d old entries of the build cache: %d bytes", len(freed.ids), freed.reclaimed)

    def _prune(self, asked: PruneBuildCache) -> PrunedBuildCache:
        steps = wanted(self._store.steps(dict(self._used)), asked.ids, asked.before_ns)
        before = self._store.size()
        gone = oldest(steps, before, asked.keep_bytes) if asked.keep_bytes else [step.id for step in steps]
        if not gone:
            return PrunedBuildCache()
        self._store.remove_images(gone)
        return PrunedBuildCache(ids=tuple(gone), reclaimed=max(0, before - self._store.size()))
