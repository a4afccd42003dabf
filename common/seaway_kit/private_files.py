"""Files that no other user may read."""

import os
from pathlib import Path


def write_private(path: Path, data: bytes) -> None:
    """Write a file, with mode 0600 where it is new. Raises OSError."""
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    with os.fdopen(fd, "wb") as file:
        file.write(data)
