"""Files and directories that no other user may read."""

import os
from pathlib import Path


def write_private(path: Path, data: bytes) -> None:
    """Write a file, with mode 0600 if it is new. Raises OSError."""
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    with os.fdopen(fd, "wb") as file:
        file.write(data)


def make_private_directory(path: Path) -> None:
    """Make a directory and its parent, with mode 0700 if they are new. Raises OSError."""
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    path.mkdir(exist_ok=True, mode=0o700)
