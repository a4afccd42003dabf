"""The network's own thread: runs jobs in order, and background work in between."""

import queue
import threading
from collections.abc import Callable
from concurrent.futures import Future
from typing import TypeVar

from seaway_agent.network import netns

T = TypeVar("T")


class NetworkThread:
    """Runs jobs one after the other, in the network namespace that it was started for.

    ``idle`` is called when no job waits; it may do a piece of work, and returns the seconds until its next call (None:
    not before the next job or ``wake``). It must not raise.
    """

    def __init__(self, name: str, idle: Callable[[], float | None], netns_fd: int | None = None) -> None:
        self._jobs: queue.SimpleQueue[Callable[[], None] | None] = queue.SimpleQueue()
        self._idle = idle
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self._thread.start()
        if netns_fd is not None:
            self.submit(lambda: netns.enter(netns_fd)).result()

    def submit(self, work: Callable[[], T]) -> Future[T]:
        """Queue a job; the future gets its result or exception. Cancelling it before the job starts skips the job."""
        future: Future[T] = Future()

        def job() -> None:
            if not future.set_running_or_notify_cancel():
                return
            try:
                future.set_result(work())
            except BaseException as error:
                future.set_exception(error)

        self._jobs.put(job)
        return future

    def wake(self) -> None:
        """Call ``idle`` soon."""
        self._jobs.put(_nothing)

    def stop(self) -> None:
        """Finish the queued jobs, then end the thread; waits for it."""
        self._jobs.put(None)
        self._thread.join()

    def _run(self) -> None:
        delay: float | None = None
        while True:
            job = self._next(delay)
            if job is None:
                return
            job()
            delay = self._idle() if self._jobs.empty() else 0.0

    def _next(self, delay: float | None) -> Callable[[], None] | None:
        try:
            return self._jobs.get(timeout=delay) if delay != 0.0 else self._jobs.get_nowait()
        except queue.Empty:
            return _nothing


def _nothing() -> None:
    """A job that only wakes the thread."""
