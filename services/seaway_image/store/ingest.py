"""One blob on its way into the store: counted, hashed, bounded, resumable, and placed only when verified."""

import asyncio
import hashlib
import os
import uuid
from pathlib import Path
from typing import BinaryIO, Final

from seaway_contracts.errors import Code, SeawayError
from seaway_image.oci.digests import Digest, hex_of
from seaway_image.store.durable import storage_errors, sync_directory

_CHUNK: Final = 1 << 20


class DigestMismatch(SeawayError):
    """The bytes that came are not the ones that were named."""

    def __init__(self, expected: str, actual: str, *, resumed: bool) -> None:
        super().__init__(
            Code.INTERNAL,
            f"filesystem layer verification failed for digest {expected}: the bytes received are {actual}; pull again",
        )
        self.resumed = resumed


class BlobWriter:
    """Writes to `tmp/`; made by `BlobStore.writer`, which places the blob after `finish`."""

    def __init__(self, tmp: Path, *, limit: int, digest: Digest | None = None, size: int | None = None) -> None:
        self.digest = digest
        self.offset = 0
        self.resumed = False
        self.finished: Digest | None = None
        self._limit = limit if size is None else min(limit, size)
        self._size = size
        self._path = tmp / (f"{hex_of(digest)}.partial" if digest else f"{uuid.uuid4().hex}.ingest")
        self._file: BinaryIO | None = None
        self._hash = hashlib.sha256()
        self._buffer = bytearray()
        self._keep = digest is not None

    async def open(self) -> None:
        """Open the file, and take over what an earlier writer left: `offset` says how many bytes are there."""
        if self._size is not None and self._size > 0 and self._limit < self._size:
            raise SeawayError(Code.TOO_LARGE, f"blob of {self._size} bytes is larger than the {self._limit} allowed")
        with storage_errors(self._path):
            self._file = self._path.open("ab+")
            self.offset = await asyncio.to_thread(self._take_over)
        self.resumed = self.offset > 0

    def _take_over(self) -> int:
        file = self._opened()
        file.seek(0)
        there = 0
        while data := file.read(_CHUNK):
            self._hash.update(data)
            there += len(data)
        if there > self._limit:
            self._truncate()
            return 0
        return there

    def _opened(self) -> BinaryIO:
        if self._file is None:
            raise ValueError("blob writer is not open")
        return self._file

    def _truncate(self) -> None:
        self._opened().truncate(0)
        self._hash = hashlib.sha256()

    async def restart(self) -> None:
        """Forget every byte so far, for a source that can't go on in the middle."""
        self._buffer.clear()
        with storage_errors(self._path):
            self._truncate()
        self.offset = 0
        self.resumed = False

    async def write(self, data: bytes) -> None:
        """Take the next bytes; raises SeawayError(TOO_LARGE) beyond the expected size or the store's bound."""
        if self.offset + len(data) > self._limit:
            self._keep = False
            text = f"blob {self._name()} is longer than the {self._limit} bytes announced or allowed"
            raise SeawayError(Code.TOO_LARGE, text)
        self.offset += len(data)
        self._buffer += data
        if len(self._buffer) >= _CHUNK:
            await self._drain()

    def _name(self) -> str:
        return self.digest or "of an archive"

    async def _drain(self) -> None:
        data, self._buffer = bytes(self._buffer), bytearray()
        try:
            with storage_errors(self._path):
                await asyncio.to_thread(self._append, data)
        except SeawayError:
            self._keep = False
            raise

    def _append(self, data: bytes) -> None:
        file = self._opened()
        file.write(data)
        file.flush()
        self._hash.update(data)

    async def finish(self) -> Digest:
        """Verify size and digest; raises SeawayError, and then the next writer starts from nothing."""
        if self._buffer:
            await self._drain()
        actual = Digest("sha256:" + self._hash.hexdigest())
        if self._size is not None and self.offset != self._size:
            self._keep = False
            text = f"blob {self._name()} has {self.offset} bytes, not the {self._size} announced"
            raise SeawayError(Code.INTERNAL, text)
        if self.digest is not None and actual != self.digest:
            self._keep = False
            raise DigestMismatch(self.digest, actual, resumed=self.resumed)
        self.finished = actual
        return actual

    def place(self, blobs: Path) -> bool:
        """Move the finished blob under its digest, durably; says whether it is new there."""
        if self.finished is None:
            raise ValueError("blob writer is not finished")
        target = blobs / hex_of(self.finished)
        try:
            with storage_errors(target):
                if target.exists():
                    self._path.unlink()
                    return False
                os.fsync(self._opened().fileno())
                self._path.replace(target)
                sync_directory(blobs)
                return True
        except SeawayError:
            self._keep = False
            raise

    def close(self) -> None:
        """Let go of the file; what can't be resumed is removed. Safe to call twice, and without `open`."""
        if self._file is None:
            return
        if self._buffer and self._keep:
            self._append_quietly()
        try:
            self._file.close()
        except OSError:  # a full disk: what was buffered is lost
            self._keep = False
        self._file = None
        if not self._keep or self.offset == 0:
            self._path.unlink(missing_ok=True)

    def _append_quietly(self) -> None:
        try:
            self._opened().write(bytes(self._buffer))
        except OSError:
            self._keep = False
