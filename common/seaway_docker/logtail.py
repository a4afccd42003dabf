"""Where the last N lines of a k8s-file log begin, found by reading blocks from the end."""

from collections.abc import Iterable

from seaway_docker.loglines import FULL_TAGS, LONGEST_RECORD, STREAM_OF_TAG, record_tag


class TailScan:
    """Feed the blocks of a file from its end to its beginning until `offset` is known.

    A line is what ends in an `F` record, of either stream; parts at the end of the file that no `F` has followed
    yet count as one line of their stream. Where the parts of the first wanted line are interleaved with an older
    line of the other stream, the offset stands after that other line.
    """

    def __init__(self, lines: int, end: int, *, begun: Iterable[int] = ()) -> None:
        """`lines` to show, `end` the offset from which blocks are read backwards (the file's size).

        `begun`: the streams of which a newer file had records; parts at the end of this one belong to a line there.
        """
        self._missing = lines
        self._position = end
        self._head = b""
        self._open_streams: set[int] = set(begun)
        self.offset: int | None = end if lines <= 0 else (0 if end <= 0 else None)

    @property
    def missing(self) -> int:
        """How many lines this file could not give: the number to look for in an older, rotated file."""
        return max(self._missing, 0)

    @property
    def begun(self) -> frozenset[int]:
        """The streams of which records were seen, for the scan of an older file."""
        return frozenset(self._open_streams)

    def feed_back(self, block: bytes) -> int | None:
        """Take the block that ends where the previous one began; the offset once known (0 at the file's start)."""
        if self.offset is None:
            self._position -= len(block)
            data = block + self._head
            # The first record of a block may begin in the block before: keep it, with its newline.
            cut = data.find(b"\n") + 1 if self._position > 0 else 0
            if self._position > 0 and cut == 0:
                self._head = data if len(data) <= LONGEST_RECORD else b""
                return None
            self._head = data[:cut]
            self.offset = self._scan(data[cut:].split(b"\n")[:-1], self._position + cut)
        return self.offset

    def _scan(self, records: list[bytes], base: int) -> int | None:
        tags = [record_tag(record) for record in records]
        if not self._take_all(tags):
            for index in range(len(tags) - 1, -1, -1):
                if self._ends_line(tags[index]):
                    if not self._missing:
                        return base + sum(len(record) + 1 for record in records[: index + 1])
                    self._missing -= 1
        return 0 if self._position <= 0 else None

    def _take_all(self, tags: list[bytes]) -> bool:
        """Count a block of full lines of one stream at once."""
        tag = tags[0] if tags else b""
        if tag not in FULL_TAGS or tag not in STREAM_OF_TAG or len(tags) > self._missing:
            return False
        if tags.count(tag) != len(tags):
            return False
        self._missing -= len(tags)
        self._open_streams.add(STREAM_OF_TAG[tag])
        return True

    def _ends_line(self, tag: bytes) -> bool:
        stream = STREAM_OF_TAG.get(tag)
        if stream is None or (tag not in FULL_TAGS and stream in self._open_streams):
            return False
        self._open_streams.add(stream)
        return True
