"""Wakes readers and rotation when a log file changes. One inotify instance for a node."""

import asyncio
import ctypes
import os
import struct
from pathlib import Path
from typing import Final

_MODIFIED: Final = 0x02
_MOVED: Final = 0x800
_DELETED: Final = 0x400
_ONCE: Final = 0x80000000
_OVERFLOW: Final = 0x4000
_HEAD: Final = struct.Struct("iIII")
_BUFFER: Final = 64 * 1024
_UNWATCHED_S: Final = 0.05
_libc = ctypes.CDLL(None, use_errno=True)


class LogWatch:
    """One-shot watches on log files. inotify is opened by the first."""

    def __init__(self) -> None:
        self._fd = -1
        self.closed = False
        self._waiting: dict[int, asyncio.Event] = {}
        self._paths: dict[Path, int] = {}

    def arm(self, path: Path) -> asyncio.Event | None:
        """An event that is set at the next change of the file. Check the file after this call, then wait.

        None where the file can't be watched (it isn't there, inotify's limits are reached).
        """
        if self.closed or (self._fd < 0 and not self._open()):
            return None
        watch = _libc.inotify_add_watch(self._fd, os.fsencode(path), _MODIFIED | _MOVED | _DELETED | _ONCE)
        if watch < 0:
            return None
        self._paths[path] = watch
        return self._waiting.setdefault(watch, asyncio.Event())

    def notify(self, path: Path) -> None:
        """Set the file's event though the file has not changed."""
        found = self._paths.get(path)
        if found is not None:
            self._wake([found])

    def close(self) -> None:
        """Stop watching, and set all events."""
        self.closed = True
        if self._fd >= 0:
            asyncio.get_running_loop().remove_reader(self._fd)
            os.close(self._fd)
            self._fd = -1
        self._wake(list(self._waiting))

    def _open(self) -> bool:
        fd: int = _libc.inotify_init1(os.O_CLOEXEC | os.O_NONBLOCK)
        if fd < 0:
            return False
        self._fd = fd
        asyncio.get_running_loop().add_reader(fd, self._readable)
        return True

    def _readable(self) -> None:
        try:
            data = os.read(self._fd, _BUFFER)
        except BlockingIOError:
            return
        offset = 0
        while offset + _HEAD.size <= len(data):
            watch, mask, _, length = _HEAD.unpack_from(data, offset)
            self._wake(list(self._waiting) if mask & _OVERFLOW else [watch])
            offset += _HEAD.size + length

    def _wake(self, watches: list[int]) -> None:
        for watch in watches:
            event = self._waiting.pop(watch, None)
            if event is not None:
                event.set()
        if not self._waiting:
            self._paths.clear()


async def wait_for_change(event: asyncio.Event | None, at_most_s: float) -> None:
    """Wait for an armed event, at most so many seconds; for None, return after 50 ms, so that callers poll."""
    if event is None:
        await asyncio.sleep(_UNWATCHED_S)
        return
    try:
        async with asyncio.timeout(at_most_s):
            await event.wait()
    except TimeoutError:
        return
