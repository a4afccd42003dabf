"""What a client has not read yet: some of it in memory, the rest in an unlinked file, all of it bounded."""

import asyncio
import os
from collections import deque
from pathlib import Path
from typing import Final

IN_MEMORY: Final = 1 << 20
ON_DISK: Final = 1 << 30
_PIECE: Final = 1 << 18
_WORTH_IT: Final = 16 << 20


class Backlog:
    """A queue of bytes. `put` never waits; False when the bound is reached and the bytes were dropped."""

    def __init__(self, directory: Path, in_memory: int = IN_MEMORY, on_disk: int = ON_DISK) -> None:
        self._directory = directory
        self._in_memory = in_memory
        self._on_disk = on_disk
        self._pieces: deque[bytes] = deque()
        self._held = 0
        self._fd = -1
        self._read_at = self._write_at = 0
        self._ended = False
        self._more = asyncio.Event()

    def put(self, data: bytes) -> bool:
        """Add bytes behind all the others."""
        if self._fd < 0 and self._held + len(data) <= self._in_memory:
            self._pieces.append(data)
            self._held += len(data)
        elif not self._spill(data):
            return False
        self._more.set()
        return True

    def end(self) -> None:
        """No more will come."""
        self._ended = True
        self._more.set()

    async def get(self) -> bytes:
        """The next bytes; b"" at the end."""
        while True:
            if self._pieces:
                return self._join()
            if self._read_at < self._write_at:
                return self._unspill()
            if self._ended:
                return b""
            self._more.clear()
            await self._more.wait()

    def _join(self) -> bytes:
        """What is held in memory, up to the size of a good message."""
        pieces = [self._pieces.popleft()]
        size = len(pieces[0])
        while self._pieces and size + len(self._pieces[0]) <= _PIECE:
            pieces.append(self._pieces.popleft())
            size += len(pieces[-1])
        self._held -= size
        return pieces[0] if len(pieces) == 1 else b"".join(pieces)

    def close(self) -> None:
        """Drop what is left."""
        self._pieces.clear()
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1

    def _spill(self, data: bytes) -> bool:
        if self._write_at - self._read_at + len(data) > self._on_disk:
            return False
        try:
            self._compact()
            if self._fd < 0:
                self._fd = os.open(self._directory, os.O_TMPFILE | os.O_RDWR | os.O_CLOEXEC, 0o600)
            os.pwrite(self._fd, data, self._write_at)
        except OSError:
            return False
        self._write_at += len(data)
        return True

    def _compact(self) -> None:
        """Use again the room of what was read, once that is more than what is left: the file stays bounded."""
        left = self._write_at - self._read_at
        if self._fd < 0 or self._read_at < _WORTH_IT or left > self._read_at:
            return
        for start in range(0, left, _PIECE):
            piece = os.pread(self._fd, min(_PIECE, left - start), self._read_at + start)
            os.pwrite(self._fd, piece, start)
        os.ftruncate(self._fd, left)
        self._read_at, self._write_at = 0, left

    def _unspill(self) -> bytes:
        data = os.pread(self._fd, min(_PIECE, self._write_at - self._read_at), self._read_at)
        self._read_at += len(data)
        if self._read_at == self._write_at:
            os.close(self._fd)
            self._fd, self._read_at, self._write_at = -1, 0, 0
        return data
