"""Where the last lines of a log begin, over all its files."""

import os
from typing import Final

from seaway_agent.streams.log_files import LogFiles
from seaway_docker.logtail import TailScan

_BLOCK: Final = 1 << 18


def tail_place(files: LogFiles, lines: int) -> tuple[int, int]:
    """Number of the file and offset in it at which the last `lines` lines begin, whichever of them are shown then (as
    Docker counts). Reads only what it must.

    Raises OSError.
    """
    numbers = [*files.rotated(), files.current]
    place = (numbers[-1], 0)
    begun: frozenset[int] = frozenset()
    while numbers:
        number = numbers.pop()
        try:
            fd = files.open(number)
        except FileNotFoundError:
            continue
        try:
            scan = _scan(fd, lines, begun)
        finally:
            os.close(fd)
        place, lines, begun = (number, scan.offset or 0), scan.missing, scan.begun
        if not lines:
            break
    return place


def _scan(fd: int, lines: int, begun: frozenset[int]) -> TailScan:
    position = os.fstat(fd).st_size
    scan = TailScan(lines, position, begun=begun)
    while scan.offset is None:
        start = max(0, position - _BLOCK)
        scan.feed_back(os.pread(fd, position - start, start))
        position = start
    return scan
