"""What processes and directories hold, sampled while something else happens."""

import os
import threading
from collections.abc import Callable
from pathlib import Path

_PAGE = os.sysconf("SC_PAGE_SIZE")
_PAUSE_S = 0.05


def resident(pid: int) -> int:
    """Memory of a process in bytes; 0 for one that is gone."""
    try:
        return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * _PAGE
    except (OSError, IndexError):
        return 0


def tree_size(place: Path) -> int:
    """Bytes in the files below a directory, as far as they are there."""
    return sum(_size(path) for path in place.rglob("*"))


def unlinked_size(pid: int) -> int:
    """Bytes in files that a process holds open and that have no name any more."""
    total = 0
    for entry in Path(f"/proc/{pid}/fd").iterdir():
        try:
            if os.readlink(entry).endswith("(deleted)") and os.readlink(entry).startswith("/tmp/"):
                total += entry.stat().st_size
        except OSError:
            continue
    return total


def _size(path: Path) -> int:
    try:
        return path.lstat().st_blocks * 512
    except OSError:
        return 0


class Peaks:
    """The highest value of each measure while the block runs."""

    def __init__(self, **measures: Callable[[], int]) -> None:
        self._measures = measures
        self.most = dict.fromkeys(measures, 0)
        self.least = {name: measure() for name, measure in measures.items()}
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> "Peaks":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()
        self._look()

    def grown(self, name: str) -> int:
        """By how much it was more than at the beginning, at most."""
        return self.most[name] - self.least[name]

    def _run(self) -> None:
        while not self._stop.wait(_PAUSE_S):
            self._look()

    def _look(self) -> None:
        for name, measure in self._measures.items():
            self.most[name] = max(self.most[name], measure())
