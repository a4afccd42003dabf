from collections.abc import Iterator
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from seaway_docker.loglines import Reader, Records
from seaway_docker.stdcopy import STDERR, STDOUT, Decoder, frame
from seaway_docker.timestamps import parse_rfc3339nano

STAMP = b"2026-01-01T00:00:%02d.123456789+00:00"


def record(second: int, text: bytes, stream: bytes = b"stdout", kind: bytes = b"F") -> bytes:
    return STAMP % second + b" %b %b %b\n" % (stream, kind, text)


def at(second: int) -> int:
    return parse_rfc3339nano(f"2026-01-01T00:00:{second:02d}.123456789Z")


def by_byte(framed: bytes) -> list[tuple[int, int]]:
    return [(stream, byte) for stream, data in Decoder().feed(framed) for byte in data]


def out(*lines: bytes, stream: int = STDOUT) -> bytes:
    return b"".join(frame(stream, line) for line in lines)


def test_each_line_has_a_frame() -> None:
    lines = (b"a", b"", b"x" * 10_000, b"c")
    log = b"".join(record(0, line) for line in lines)
    assert Reader().feed(log) == out(*(line + b"\n" for line in lines))
    assert Reader(timestamps=True).feed(log[-47:]) == frame(STDOUT, b"2026-01-01T00:00:00.123456789Z c\n")
    assert Reader(raw=True).feed(log) == b"".join(line + b"\n" for line in lines)


def test_streams_stay_apart_and_in_order() -> None:
    log = record(0, b"a") + record(0, b"x", b"stderr") + record(0, b"y", b"stderr") + record(1, b"b")
    assert Reader().feed(log) == out(b"a\n") + out(b"x\n", b"y\n", stream=STDERR) + out(b"b\n")
    assert Reader(stderr=False).feed(log) == out(b"a\n", b"b\n")
    assert Reader(stdout=False).feed(log) == out(b"x\n", b"y\n", stream=STDERR)
    assert Reader(stdout=False).feed(record(0, b"a")) == b""


def test_parts_have_no_newline() -> None:
    log = record(0, b"a", kind=b"P") + record(0, b"b", kind=b"P") + record(0, b"c") + record(0, b"end", kind=b"P")
    assert by_byte(Reader().feed(log)) == by_byte(frame(STDOUT, b"abc\nend"))


def test_a_tty_has_no_frames() -> None:
    assert Reader(raw=True).feed(record(0, b"a\r") + record(0, b"$ ", kind=b"P")) == b"a\r\n$ "


def test_a_record_that_is_not_complete_waits() -> None:
    reader = Reader()
    assert reader.feed(record(0, b"a")[:-3]) == b""
    assert reader.feed(record(0, b"a")[-3:]) == frame(STDOUT, b"a\n")


def test_timestamps_stand_once_in_front_of_each_line() -> None:
    log = record(1, b"a", kind=b"P") + record(2, b"b") + record(3, b"x", b"stderr")
    assert by_byte(Reader(timestamps=True).feed(log)) == by_byte(
        frame(STDOUT, b"2026-01-01T00:00:01.123456789Z ab\n") + frame(STDERR, b"2026-01-01T00:00:03.123456789Z x\n")
    )


def test_since_and_until_are_inclusive() -> None:
    log = b"".join(record(second, b"%d" % second) for second in range(6))
    reader = Reader(since_ns=at(2), until_ns=at(4))
    assert reader.feed(log) == out(b"2\n", b"3\n", b"4\n")
    assert reader.finished
    assert reader.feed(record(3, b"late")) == b""
    assert not Reader(since_ns=at(2) + 1).finished
    assert Reader(since_ns=at(2) + 1).feed(log) == out(b"3\n", b"4\n", b"5\n")


def test_other_zones_are_converted() -> None:
    log = b"2026-01-01T02:00:01.500000000+02:00 stdout F a\n2026-01-01T00:00:09.500000000+00:00 stdout F b\n"
    assert Reader(timestamps=True, raw=True, until_ns=at(5)).feed(log) == b"2026-01-01T00:00:01.500000000Z a\n"


@pytest.mark.parametrize("options", [{}, {"timestamps": True}, {"since_ns": 0}])
def test_torn_records_are_left_out(options: dict[str, int]) -> None:
    log = (
        b"garbage\n\n"
        + record(0, b"a")
        + b"2026-01-01T00:00:00.1 stdout F short\n"
        + b"\0" * 80
        + b"\n"
        + record(0, b"b")
    )
    output = Reader(raw=True, **options).feed(log)  # type: ignore[arg-type]
    assert [line.rsplit(b" ")[-1] for line in output.split(b"\n")] == [b"a", b"b", b""]


def test_a_record_without_an_end_is_dropped_in_bounded_memory() -> None:
    reader = Reader(raw=True)
    for _ in range(40):
        assert reader.feed(b"x" * 100_000) == b""
    assert reader.feed(b"x\n" + record(0, b"a")) == b"a\n"


RECORDS = st.lists(
    st.tuples(
        st.integers(0, 59),
        st.binary(max_size=6).map(lambda text: text.replace(b"\n", b"")),
        st.sampled_from([b"stdout", b"stderr"]),
        st.sampled_from([b"F", b"P"]),
    ),
    max_size=12,
)


@given(
    RECORDS,
    st.lists(st.integers(0, 900), max_size=8),
    st.booleans(),
    st.booleans(),
    st.booleans(),
    st.none() | st.integers(0, 59),
    st.none() | st.integers(0, 59),
)
def test_any_cut_gives_what_a_plain_reading_gives(
    records: list[tuple[int, bytes, bytes, bytes]],
    cuts: list[int],
    stdout: bool,
    stderr: bool,
    timestamps: bool,
    since: int | None,
    until: int | None,
) -> None:
    log = b"".join(record(*entry) for entry in records)
    reader = Reader(
        stdout=stdout,
        stderr=stderr,
        timestamps=timestamps,
        since_ns=None if since is None else at(since),
        until_ns=None if until is None else at(until),
    )
    wanted = {b"stdout": stdout, b"stderr": stderr}
    chosen = [entry for entry in records if wanted[entry[2]]]
    output = b"".join(reader.feed(piece) for piece in pieces(log, cuts))
    assert by_byte(output) == list(plain(chosen, timestamps, since, until))


def plain(
    records: list[tuple[int, bytes, bytes, bytes]], timestamps: bool, since: int | None, until: int | None
) -> Iterator[tuple[int, int]]:
    inside: set[bytes] = set()
    for second, text, stream, kind in records:
        if until is not None and second > until:
            return
        if since is not None and second < since:
            continue
        stamp = (STAMP % second)[:29] + b"Z " if timestamps and stream not in inside else b""
        (inside.discard if kind == b"F" else inside.add)(stream)
        number = STDOUT if stream == b"stdout" else STDERR
        yield from ((number, byte) for byte in stamp + text + b"\n" * (kind == b"F"))


def pieces(data: bytes, cuts: list[int]) -> Iterator[bytes]:
    bounds = sorted({0, len(data), *(cut for cut in cuts if cut < len(data))})
    for start, end in pairwise(bounds):
        yield data[start:end]


def test_details_stand_behind_the_timestamp_of_each_line() -> None:
    log = record(0, b"a") + record(0, b"b", b"stderr", b"P") + record(0, b"c", b"stderr", b"F")
    assert Reader(raw=True, details=b"x=1 ").feed(log) == b"x=1 a\nx=1 bc\n"
    stamped = Reader(raw=True, details=b"x=1 ", timestamps=True).feed(record(0, b"a"))
    assert stamped.endswith(b"Z x=1 a\n")


def test_a_torn_record_does_not_spoil_the_next_file() -> None:
    reader = Reader(raw=True)
    assert reader.feed(record(0, b"a") + record(0, b"torn")[:-3]) == b"a\n"
    reader.break_off()
    assert reader.feed(record(0, b"b")) == b"b\n"


def test_records_one_by_one_at_any_cut() -> None:
    log = record(0, b"a") + b"torn\n" + record(0, b"b", b"stderr", b"P") + record(0, b"", b"stderr", b"F")
    for cut in range(len(log)):
        records = Records()
        found = records.feed(log[:cut]) + records.feed(log[cut:])
        assert [(one.stdout, one.text, one.partial) for one in found] == [
            (True, b"a", False),
            (False, b"b", True),
            (False, b"", False),
        ]
        assert all(one.time.endswith("Z") and len(one.time) == 30 for one in found)
