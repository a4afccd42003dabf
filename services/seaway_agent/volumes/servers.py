"""Mounts whose server may be silent: each is made in a thread of its own, for which nobody waits longer than a limit.

It is made in a mount namespace of that thread, and attached once it is there. One that comes too late ends with its
thread, wherever the volume's directory is by then.
"""

import asyncio
import os
import threading
from collections.abc import Callable
from concurrent.futures import Future
from pathlib import Path
from typing import Final, TypeVar

from seaway_agent.kernel import launcher, mount_trees
from seaway_agent.volumes.options import MountOptions
from seaway_contracts.errors import SeawayError, internal

T = TypeVar("T")
LIMIT_S: Final = 30.0
"""A start with several such volumes must be answered while its caller waits."""


class ServerMounts:
    """The mounts under way, one at once of each volume. Call it in the event loop's thread."""

    def __init__(self, limit_s: float = LIMIT_S) -> None:
        self._limit_s = limit_s
        self._threads: dict[str, threading.Thread] = {}

    async def made(self, data: Path, options: MountOptions, mount: Callable[[], None]) -> int:
        """What `mount` mounts on a volume's data, as a descriptor: to be attached and closed. Raises SeawayError."""
        self._threads = {name: thread for name, thread in self._threads.items() if thread.is_alive()}
        if str(data) in self._threads:
            raise _silent(options, data, "an earlier mount still waits for its server")
        future, self._threads[str(data)] = begun(lambda: _made_apart(data, mount), os.close)
        waited = asyncio.wrap_future(future)
        await asyncio.wait({waited}, timeout=self._limit_s)
        if future.cancel():
            raise _silent(options, data, _no_answer(self._limit_s))
        return await waited


def made_in_time(data: Path, options: MountOptions, mount: Callable[[], None], limit_s: float = LIMIT_S) -> int:
    """The same for a thread that waits. Raises SeawayError, OSError."""
    future, _ = begun(lambda: _made_apart(data, mount), os.close)
    try:
        return future.result(limit_s)
    except TimeoutError:
        if not future.cancel():
            return future.result()
        raise _silent(options, data, _no_answer(limit_s)) from None


def begun(work: Callable[[], T], discard: Callable[[T], None]) -> tuple[Future[T], threading.Thread]:
    """Run `work` in a thread that no exit waits for; where its future was cancelled meanwhile, discard its result."""
    future: Future[T] = Future()

    def run() -> None:
        try:
            result = work()
        except BaseException as error:
            if future.set_running_or_notify_cancel():
                future.set_exception(error)
            return
        if future.set_running_or_notify_cancel():
            future.set_result(result)
        else:
            discard(result)

    thread = threading.Thread(target=run, name="mount-server", daemon=True)
    thread.start()
    return future, thread


def attach(tree: int, data: Path) -> None:
    """Attach a mount on a volume's data. Raises OSError."""
    fd = os.open(data, os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        mount_trees.attach_tree(tree, fd)
    finally:
        os.close(fd)


def _made_apart(data: Path, mount: Callable[[], None]) -> int:
    launcher.enter_private_mounts()
    mount()
    return mount_trees.copy_tree(str(data), recursive=True)


def _no_answer(limit_s: float) -> str:
    return f"no answer from its server within {limit_s:.0f} s"


def _silent(options: MountOptions, data: Path, reason: str) -> SeawayError:
    return internal(f"failed to mount local volume: mount {options.device}:{data}: {reason}")
