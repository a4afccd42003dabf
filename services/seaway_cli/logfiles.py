"""The suite's logs: appended to by running processes, and kept from filling the run directory."""

import contextlib
import os
import shutil
from pathlib import Path
from typing import Final

LIMIT: Final = 10 << 20
CHECK_S: Final = 10.0


def shorten(path: Path, limit: int = LIMIT) -> None:
    """Set what a log holds aside (as `.1`, in place of what was there) if it has grown beyond `limit` bytes.

    Its writers go on with the same file, which they append to; what they write in the very moment may be lost. Where
    there is no room for the copy, the text goes: the log may be what has filled the disk.
    """
    try:
        if path.stat().st_size <= limit:
            return
        aside = path.with_name(path.name + ".1")
        try:
            shutil.copyfile(path, aside)
        except OSError:
            aside.unlink(missing_ok=True)
        os.truncate(path, 0)
    except FileNotFoundError:
        return


def shorten_all(directory: Path, limit: int = LIMIT) -> None:
    """Every log in a directory."""
    with contextlib.suppress(OSError):
        for path in sorted(directory.glob("*.log")):
            shorten(path, limit)
