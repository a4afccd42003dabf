"""What goes on in threads until a block ends."""

import threading
from collections.abc import Callable
from typing import Self


class Busy:
    """Runs functions in threads of their own. They are to end soon once `_enough` is set; the block's end waits."""

    def __init__(self, *runs: Callable[[], object]) -> None:
        self._enough = threading.Event()
        self._threads = [threading.Thread(target=run, daemon=True) for run in runs]

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._enough.set()
        for thread in self._threads:
            thread.join()
