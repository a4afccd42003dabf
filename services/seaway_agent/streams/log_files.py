"""A container's log on disk: the current file, which conmon writes, and the rotated ones.

`ctr.log` is the current file; `ctr.log.7` (or `ctr.log.7.gz`) is the file before it, then comes `ctr.log.6`. A number
is never used again, so a reader knows which files it has read.
"""

import contextlib
import errno
import logging
import os
import re
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Final, Protocol

from seaway_docker.log_options import LogPolicy

log = logging.getLogger(__name__)
HELD_FOR_READERS: Final = 256 << 20
_PIECE: Final = 1 << 18
_LEVEL: Final = 3
_GZIP: Final = 16 + zlib.MAX_WBITS
_COMPRESSED: Final = ".gz"
_ROTATED: Final = re.compile(r"\.([1-9][0-9]{0,17})(\.gz)?")


@dataclass(frozen=True)
class LogFile:
    """One of a log's files, open, also after its `path` is renamed or removed."""

    fd: int
    path: Path

    @classmethod
    def open(cls, path: Path) -> "LogFile":
        """Open a file. Raises FileNotFoundError, OSError."""
        return cls(os.open(path, os.O_RDONLY | os.O_CLOEXEC), path)

    @property
    def compressed(self) -> bool:
        """Whether it is compressed."""
        return self.path.suffix == _COMPRESSED

    def decompressed(self) -> int:
        """A descriptor of the decompressed content; closes this one. Blocks: call it in a thread. Raises OSError."""
        with os.fdopen(self.fd, "rb") as file:
            return _decompressed(file, self.path)

    def close(self) -> None:
        """Close the descriptor."""
        os.close(self.fd)


class LogReader(Protocol):
    """A reader of the log's files, in order."""

    def keep_open(self) -> None:
        """Open the files that are not read yet, before they are removed."""


class LogFiles:
    """The files of one log. `current` is the number that the current file gets when it is rotated.

    `readers`: the last file that each has opened. Files that readers have not opened yet are kept beyond
    `policy.max_files`, up to `held` bytes.
    """

    def __init__(self, path: Path, policy: LogPolicy, held: int = HELD_FOR_READERS) -> None:
        self.path = path
        self.policy = policy
        self.readers: dict[LogReader, int] = {}
        self._held = held
        self.current = max(self.rotated(), default=0) + 1

    def rotated(self) -> dict[int, Path]:
        """The rotated files by number, oldest first."""
        found: dict[int, Path] = {}
        with contextlib.suppress(FileNotFoundError):
            for entry in self.path.parent.iterdir():
                match = _ROTATED.fullmatch(entry.name.removeprefix(self.path.name))
                if match and entry.name.startswith(self.path.name) and (not match[2] or int(match[1]) not in found):
                    found[int(match[1])] = entry
        return dict(sorted(found.items()))

    @property
    def first(self) -> int:
        """The oldest number that can be read."""
        return next(iter(self.rotated()), self.current)

    def size(self) -> int:
        """Bytes in the current file; 0 where it isn't there."""
        return size_of(self.path)

    def end(self) -> tuple[int, int]:
        """The number of the file that conmon writes now, and the bytes in it."""
        if self.path.exists() or self.current == 1:
            return self.current, self.size()
        return self.current - 1, size_of(self._numbered(self.current - 1))

    def sealed(self, number: int) -> bool:
        """Whether conmon has finished that file."""
        return number < self.current - 1 or (number < self.current and self.path.exists())

    # --- reading

    def open(self, number: int) -> int:
        """A descriptor of one file's decompressed content. Raises FileNotFoundError, OSError.

        Blocks while it decompresses: call it in a thread for rotated files.
        """
        flags = os.O_RDONLY | os.O_CLOEXEC
        if number >= self.current:
            return os.open(self.path, flags)
        plain = self._numbered(number)
        try:
            return os.open(plain, flags)
        except FileNotFoundError:
            return LogFile.open(self._compressed(number)).decompressed()

    def open_after(self, after: int) -> dict[int, LogFile]:
        """The files that follow `after`, opened, by number. Raises OSError."""
        held: dict[int, LogFile] = {}
        for number, path in {**self.rotated(), self.current: self.path}.items():
            if number > after:
                with contextlib.suppress(FileNotFoundError):  # pruned or compressed since
                    held[number] = LogFile.open(path)
        return held

    def next_after(self, number: int) -> int:
        """The number of the next file; it is more than one higher where files were pruned between."""
        return min((found for found in (*self.rotated(), self.current) if found > number), default=self.current)

    # --- rotating

    def prepare(self) -> None:
        """Create the file that conmon moves into place when it reopens the log. Raises OSError.

        Otherwise conmon would need space that a full disk lacks: it ends where it can't open its log, and the
        container's streams end with it.
        """
        os.close(os.open(f"{self.path}.tmp", os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600))

    def rename_current(self) -> int:
        """Rename the current file to its number, and return that. Raises OSError."""
        number = self.current
        self.path.rename(self._numbered(number))
        self.current += 1
        return number

    def prune(self) -> None:
        """Remove the oldest files beyond the policy's number, except those that readers have not opened yet."""
        files = self.rotated()
        surplus = list(files)[: max(0, len(files) - (self.policy.max_files - 1))]
        needed_after = min(self.readers.values(), default=self.current)
        held = 0
        for number in reversed(surplus):
            size = size_of(files[number])
            if number > needed_after and held + size <= self._held:
                held += size
                continue
            for path in (self._numbered(number), self._compressed(number)):
                path.unlink(missing_ok=True)

    def remove_reader(self, reader: LogReader) -> None:
        """Forget a reader and prune the files kept for it alone: after the container's end no rotation does it."""
        if self.readers.pop(reader, None) is not None and self.policy.max_size:
            with contextlib.suppress(OSError):
                self.prune()

    def compress(self, number: int, cancelled: Callable[[], bool] = lambda: False) -> None:
        """Compress a rotated file, if it still exists. Raises OSError."""
        plain, packed = self._numbered(number), self._compressed(number)
        making = Path(f"{packed}.tmp")
        try:
            _compress(plain, making, cancelled)
            if plain.exists() and not cancelled():
                making.rename(packed)
                plain.unlink(missing_ok=True)
        except FileNotFoundError:
            return
        finally:
            making.unlink(missing_ok=True)

    def uncompressed(self) -> list[int]:
        """The numbers of rotated files that are not compressed yet."""
        return [number for number, path in self.rotated().items() if path.suffix != _COMPRESSED]

    def _numbered(self, number: int) -> Path:
        return Path(f"{self.path}.{number}")

    def _compressed(self, number: int) -> Path:
        return Path(f"{self.path}.{number}{_COMPRESSED}")


def size_of(path: Path) -> int:
    """Bytes in a file; 0 for one that isn't there."""
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return 0


def _compress(source: Path, target: Path, cancelled: Callable[[], bool]) -> None:
    packer = zlib.compressobj(_LEVEL, zlib.DEFLATED, _GZIP)
    fd = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    with os.fdopen(fd, "wb") as packed, open(source, "rb") as plain:
        while (piece := plain.read(_PIECE)) and not cancelled():
            packed.write(packer.compress(piece))
        packed.write(packer.flush())


def _decompressed(packed: BinaryIO, beside: Path) -> int:
    """A descriptor of the decompressed content, in an unnamed file in the nearest directory above `beside`."""
    place = next(parent for parent in beside.parents if parent.is_dir())
    fd = os.open(place, os.O_TMPFILE | os.O_RDWR | os.O_CLOEXEC, 0o600)
    try:
        with os.fdopen(os.dup(fd), "wb") as plain:
            _decompress(packed.read, plain.write)
    except zlib.error as error:
        os.close(fd)
        raise OSError(errno.EIO, f"the compressed log is broken ({error})", str(beside)) from error
    except BaseException:
        os.close(fd)
        raise
    return fd


def _decompress(read: Callable[[int], bytes], write: Callable[[bytes], int]) -> None:
    unpacker = zlib.decompressobj(_GZIP)
    while piece := read(_PIECE):
        while piece:
            write(unpacker.decompress(piece, _PIECE))
            piece = unpacker.unconsumed_tail
    write(unpacker.flush())
    if not unpacker.eof:
        raise zlib.error("it ends too early")
