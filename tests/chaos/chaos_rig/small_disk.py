"""A small file system of its own for one directory, which can be filled to the last byte."""

import subprocess
from pathlib import Path

_STEPS = (1 << 16, 1 << 12)


class SmallDisk:
    """A tmpfs at `place`, for as long as nobody calls `close`."""

    def __init__(self, place: Path, mib: int, mode: int = 0o711) -> None:
        self.place = place
        self._filler = place / "filler"
        place.mkdir(parents=True, exist_ok=True)
        options = f"size={mib}m,mode={mode:o}"
        subprocess.run(["mount", "-t", "tmpfs", "-o", options, "small", str(place)], check=True)

    def fill(self, leaving: int = 0) -> None:
        """Leave so many bytes, or none; what came free meanwhile is taken as well when this is called again."""
        with open(self._filler, "ab", buffering=0) as file:
            for size in _STEPS:
                try:
                    while True:
                        file.write(bytes(size))
                except OSError:
                    continue
            file.truncate(max(0, file.tell() - leaving))

    def free(self) -> None:
        """Give the room back."""
        self._filler.unlink(missing_ok=True)

    def close(self) -> None:
        """Unmount it."""
        subprocess.run(["umount", str(self.place)], check=True)
