"""Text files that a container may write too: it may have put anything there, of any size."""

import errno
from pathlib import Path
from typing import Final

MOST: Final = 1 << 20
"""Bytes. A larger file isn't read."""
ESCAPES: Final = "surrogateescape"
"""How bytes that are not UTF-8 are kept in a text."""


def read(path: Path) -> str:
    """The whole text, in which other bytes than UTF-8 are kept. Raises OSError, also for too large a file."""
    with path.open("rb") as file:
        data = file.read(MOST + 1)
    if len(data) > MOST:
        raise OSError(errno.EFBIG, f"it has more than {MOST} bytes", str(path))
    return data.decode(errors=ESCAPES)


def write(path: Path, text: str) -> None:
    """Replace the text in place, as the file is bind-mounted. Raises OSError.

    It is cut last: an agent that is killed meanwhile leaves no empty file.
    """
    with path.open("r+b") as file:
        file.write(text.encode(errors=ESCAPES))
        file.truncate()
