"""The only module that makes asyncio tasks, beside TaskGroups.

Each task has a name and an owner, and each failure is reported.
"""

import asyncio
import contextlib
import logging
import sys
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

T = TypeVar("T")
log = logging.getLogger(__name__)


class Tasks:
    """The tasks of one owner. `close` cancels them all and waits for them.

    An eternal task must not end by itself: when it does, or fails, `on_failure` is called with the reason.
    A failed ordinary task is logged with its traceback.
    """

    def __init__(self, owner: str, on_failure: Callable[[BaseException], None] | None = None) -> None:
        self.owner = owner
        self._on_failure = on_failure
        self._tasks: set[asyncio.Task[Any]] = set()
        self.failed = False
        """Whether the owner can't continue: an eternal task has ended, or `fail` was called."""

    def __len__(self) -> int:
        return len(self._tasks)

    def spawn(self, name: str, work: Coroutine[Any, Any, T]) -> asyncio.Task[T]:
        """Run `work` to its end; its failure is logged unless somebody awaits the task."""
        task = asyncio.create_task(work, name=f"{self.owner}/{name}")
        self._tasks.add(task)
        task.add_done_callback(self._ended)
        return task

    def begin(self, name: str, work: Coroutine[Any, Any, T]) -> asyncio.Task[T]:
        """As `spawn`, but the task takes its first step now, without a turn of the event loop (Python 3.12)."""
        if sys.version_info < (3, 12):
            return self.spawn(name, work)
        loop = asyncio.get_running_loop()
        task = asyncio.Task(work, loop=loop, name=f"{self.owner}/{name}", eager_start=True)
        if task.done():
            self._ended(task)
        else:
            self._tasks.add(task)
            task.add_done_callback(self._ended)
        return task

    def eternal(self, name: str, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        """Run `work` for as long as the owner lives."""
        task = asyncio.create_task(work, name=f"{self.owner}/{name}")
        self._tasks.add(task)
        task.add_done_callback(self._eternal_ended)
        return task

    def fail(self, error: BaseException) -> None:
        """Report that the owner can't continue, as the end of an eternal task does."""
        log.critical("%s can't go on: %s", self.owner, error)
        self._fail(error)

    async def close(self) -> None:
        """Cancel the tasks that run and wait until all have ended."""
        current = asyncio.current_task()
        while pending := [task for task in self._tasks if task is not current]:
            for task in pending:
                task.cancel()
            await asyncio.gather(*pending, return_exceptions=True)
            self._tasks.difference_update(pending)

    def _ended(self, task: asyncio.Task[Any]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            log.error("task %s failed: %s", task.get_name(), error, exc_info=error)

    def _eternal_ended(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if task.cancelled():
            return
        error = task.exception() or RuntimeError(f"task {task.get_name()} ended, which it must not")
        log.critical("task %s ended: %s", task.get_name(), error, exc_info=task.exception())
        self._fail(error)

    def _fail(self, error: BaseException) -> None:
        self.failed = True
        if self._on_failure is not None:
            self._on_failure(error)


async def cancel(task: asyncio.Task[Any]) -> None:
    """Cancel a task and wait for its end; drop its result."""
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError, Exception):
        await task
