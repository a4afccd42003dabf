"""Files that survive a power cut: written aside, synced, renamed, and the directory synced too."""

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from seaway_contracts.errors import Code, SeawayError

_FULL: Final = (errno.ENOSPC, errno.EDQUOT)


@contextmanager
def storage_errors(place: Path) -> Iterator[None]:
    """Translate the kernel's refusals to write below `place` into a SeawayError; a full disk becomes NO_SPACE."""
    try:
        yield
    except OSError as error:
        if error.errno in _FULL:
            text = f"write {place}: no space left on device: free space on its filesystem and try again"
            raise SeawayError(Code.NO_SPACE, text) from error
        raise SeawayError(Code.INTERNAL, f"image store {place}: {error.strerror or error}") from error


def sync_directory(path: Path) -> None:
    """Make the names in a directory durable."""
    fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def write_file(path: Path, data: bytes) -> None:
    """Replace `path` by `data` atomically and durably; nothing is left beside it on failure."""
    aside = path.with_name(path.name + ".new")
    with storage_errors(path):
        try:
            with open(aside, "wb", opener=lambda name, flags: os.open(name, flags, 0o600)) as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            aside.replace(path)
        except OSError:
            aside.unlink(missing_ok=True)
            raise
        sync_directory(path.parent)
