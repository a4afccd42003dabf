"""conmon's k8s-file log: `2026-01-01T00:00:00.123456789+00:00 stdout F text`, read in big chunks.

`F` ends a line, `P` is a part of one (no newline follows its text). The head of a record has a fixed width, which
makes it possible to handle whole chunks by splitting and slicing instead of looking at each line.
"""

from typing import NamedTuple

from seaway_docker.stdcopy import STDERR, STDOUT, frame, header
from seaway_docker.timestamps import parse_rfc3339nano, rfc3339nano_fixed

_MOMENT = 29
_STAMP = 35
_HEAD = 45
_UTC = b"+00:00"
LONGEST_RECORD = 1 << 20

_OUT_FULL, _OUT_PART = b" stdout F ", b" stdout P "
_ERR_FULL, _ERR_PART = b" stderr F ", b" stderr P "
STREAM_OF_TAG = {_OUT_FULL: STDOUT, _OUT_PART: STDOUT, _ERR_FULL: STDERR, _ERR_PART: STDERR}
FULL_TAGS = frozenset((_OUT_FULL, _ERR_FULL))
_END_OF = {tag: b"\n" if tag in FULL_TAGS else b"" for tag in STREAM_OF_TAG}
_USUAL = 4096


def record_tag(record: bytes) -> bytes:
    """Stream and completeness of a record, a key of STREAM_OF_TAG if the record is sound."""
    return record[_STAMP:_HEAD]


class Reader:
    """Turns a log file's bytes into what `GET /containers/{id}/logs` sends.

    `since_ns` and `until_ns` are inclusive bounds, in nanoseconds since the epoch. With `raw` (a container with a TTY)
    the text comes unframed. `details` stands before each line, behind its timestamp. Each record has a frame of its
    own, as with Docker: there are clients that take a frame for a line. Records that aren't sound (a torn write) are
    left out.
    """

    def __init__(
        self,
        *,
        stdout: bool = True,
        stderr: bool = True,
        since_ns: int | None = None,
        until_ns: int | None = None,
        timestamps: bool = False,
        details: bytes = b"",
        raw: bool = False,
    ) -> None:
        wanted = {STDOUT: stdout, STDERR: stderr}
        self._streams = frozenset(tag for tag, stream in STREAM_OF_TAG.items() if wanted[stream])
        self._heads = {tag: _Heads(STREAM_OF_TAG[tag]) for tag in FULL_TAGS}
        self._since = None if since_ns is None else _moment_key(since_ns)
        self._until = None if until_ns is None else _moment_key(until_ns)
        self._timestamps = timestamps
        self._details = details
        self._raw = raw
        self._rest = b""
        self._skipping = False
        self._inside_line: set[int] = set()
        self._finished = False

    @property
    def finished(self) -> bool:
        """True once a record after `until_ns` has been seen; nothing more will come."""
        return self._finished

    def feed(self, chunk: bytes) -> bytes:
        """The output for the records that this chunk completes."""
        if self._finished:
            return b""
        records = self._complete_records(chunk)
        if not records:
            return b""
        tags = [record[_STAMP:_HEAD] for record in records]
        if self._since or self._until or self._timestamps or self._details:
            return self._careful(records, tags)
        first = tags[0]
        if first in FULL_TAGS and tags.count(first) == len(tags):
            return self._uniform(records, first)
        return self._mixed(records, tags)

    def break_off(self) -> None:
        """The file has ended; the next chunk is from another. What had no newline was never finished."""
        self._rest = b""
        self._skipping = False

    def _complete_records(self, chunk: bytes) -> list[bytes]:
        """Split off what ends in a newline, and keep the rest, bounded, for the next chunk."""
        records = (self._rest + chunk).split(b"\n") if self._rest else chunk.split(b"\n")
        self._rest = records.pop()
        if self._skipping and records:
            del records[0]
            self._skipping = False
        if len(self._rest) > LONGEST_RECORD:
            self._rest = b""
            self._skipping = True
        return records

    def _uniform(self, records: list[bytes], tag: bytes) -> bytes:
        """All records are full lines of one stream, the common case."""
        if tag not in self._streams:
            return b""
        if self._raw:
            texts = [record[_HEAD:] for record in records]
        else:
            heads = self._heads[tag]
            texts = [heads[len(record)] + record[_HEAD:] for record in records]
        texts.append(b"")
        return b"\n".join(texts)

    def _mixed(self, records: list[bytes], tags: list[bytes]) -> bytes:
        wanted = [(tag, record) for tag, record in zip(tags, records, strict=True) if tag in self._streams]
        return b"".join([self._framed(tag, record[_HEAD:] + _END_OF[tag]) for tag, record in wanted])

    def _careful(self, records: list[bytes], tags: list[bytes]) -> bytes:
        """With bounds or timestamps each record is looked at."""
        output: list[bytes] = []
        for record, tag in zip(records, tags, strict=True):
            moment = _moment(record) if tag in self._streams else None
            if moment is None:
                continue
            if self._until is not None and moment > self._until:
                self._finished = True
                break
            if self._since is None or moment >= self._since:
                output.append(self._framed(tag, self._rendered(record, tag, moment)))
        return b"".join(output)

    def _rendered(self, record: bytes, tag: bytes, moment: bytes) -> bytes:
        """The text with its newline, and with its timestamp where a line begins."""
        stream = STREAM_OF_TAG[tag]
        stamp = b"" if stream in self._inside_line else self._head_of_line(moment)
        if tag in FULL_TAGS:
            self._inside_line.discard(stream)
        else:
            self._inside_line.add(stream)
        return b"%b%b%b" % (stamp, record[_HEAD:], _END_OF[tag])

    def _head_of_line(self, moment: bytes) -> bytes:
        return (b"%bZ " % moment if self._timestamps else b"") + self._details

    def _framed(self, tag: bytes, text: bytes) -> bytes:
        return text if self._raw or not text else frame(STREAM_OF_TAG[tag], text)


class _Heads(dict[int, bytes]):
    """The frame's header of a full line, by the length of its record; those of usual lengths are kept."""

    def __init__(self, stream: int) -> None:
        self._stream = stream

    def __missing__(self, length: int) -> bytes:
        made = header(self._stream, length - _HEAD + 1)
        if length < _USUAL:
            self[length] = made
        return made


class Record(NamedTuple):
    """One record: a line, or a part of one. `time` as Docker writes it; `offset` where it begins in its file."""

    stdout: bool
    time: str
    text: bytes
    partial: bool
    offset: int


class Records:
    """Takes a log file's bytes apart, record by record, at any cut. `position`: where the next record begins."""

    def __init__(self, position: int = 0) -> None:
        self.position = position
        self._rest = b""
        self._cut = 0

    def feed(self, chunk: bytes) -> list[Record]:
        """The records that this chunk completes; those that aren't sound are left out."""
        records = (self._rest + chunk).split(b"\n")
        rest = records.pop()
        found = [made for record in records if (made := self._next(record)) is not None]
        self._cut += max(0, len(rest) - LONGEST_RECORD)
        self._rest = rest[:LONGEST_RECORD]
        return found

    def break_off(self) -> None:
        """The file has ended; the next chunk is from another."""
        self._rest, self._cut, self.position = b"", 0, 0

    def _next(self, record: bytes) -> Record | None:
        offset, cut = self.position, self._cut
        self.position, self._cut = offset + len(record) + cut + 1, 0
        return _record(record, offset)


def _record(record: bytes, offset: int) -> Record | None:
    tag = record[_STAMP:_HEAD]
    moment = _moment(record) if tag in STREAM_OF_TAG else None
    if moment is None:
        return None
    time = f"{moment.decode()}Z"
    return Record(STREAM_OF_TAG[tag] == STDOUT, time, record[_HEAD:], tag not in FULL_TAGS, offset)


def _moment(record: bytes) -> bytes | None:
    """The record's time as 29 comparable bytes in UTC; None if it can't be read."""
    if record[_MOMENT:_STAMP] == _UTC:
        return record[:_MOMENT]
    try:
        return _moment_key(parse_rfc3339nano(record[:_STAMP].decode("ascii")))
    except ValueError:
        return None


def _moment_key(ns: int) -> bytes:
    return rfc3339nano_fixed(ns)[:_MOMENT].encode("ascii")
