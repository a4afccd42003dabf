"""Watch for exit files: conmon renames them into a directory, which inotify reports at once."""

import asyncio
import ctypes
import os
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Final

from seaway_contracts.ids import is_container_id

_IN_MOVED_TO: Final = 0x80
_IN_CLOSE_WRITE: Final = 0x08
_IN_Q_OVERFLOW: Final = 0x4000
_HEAD: Final = struct.Struct("iIII")
_BUFFER: Final = 64 * 1024
_libc = ctypes.CDLL(None, use_errno=True)


class ExitWatch:
    """Calls `ended` with the container's id for each exit file that appears."""

    def __init__(self, directory: Path, ended: Callable[[str], None]) -> None:
        self._directory = directory
        self._ended = ended
        self._fd = -1

    def start(self) -> None:
        """Start watching. Raises OSError where the directory is missing or inotify's limits are reached."""
        fd = _libc.inotify_init1(os.O_CLOEXEC | os.O_NONBLOCK)
        if fd < 0:
            raise OSError(ctypes.get_errno(), "inotify can't be used: raise fs.inotify.max_user_instances")
        if _libc.inotify_add_watch(fd, os.fsencode(self._directory), _IN_MOVED_TO | _IN_CLOSE_WRITE) < 0:
            error = ctypes.get_errno()
            os.close(fd)
            raise OSError(error, os.strerror(error), str(self._directory))
        self._fd = fd
        asyncio.get_running_loop().add_reader(fd, self._readable)

    def close(self) -> None:
        """Stop watching."""
        if self._fd >= 0:
            asyncio.get_running_loop().remove_reader(self._fd)
            os.close(self._fd)
            self._fd = -1

    def _readable(self) -> None:
        try:
            data = os.read(self._fd, _BUFFER)
        except BlockingIOError:
            return
        for name in self._names(data):
            if is_container_id(name):
                self._ended(name)

    def _names(self, data: bytes) -> list[str]:
        found, offset = [], 0
        while offset + _HEAD.size <= len(data):
            _, mask, _, length = _HEAD.unpack_from(data, offset)
            offset += _HEAD.size
            if mask & _IN_Q_OVERFLOW:
                found += [entry.name for entry in self._directory.iterdir()]
            elif length:
                found.append(data[offset : offset + length].split(b"\0", 1)[0].decode(errors="replace"))
            offset += length
        return found
