import pytest
from hypothesis import given
from hypothesis import strategies as st

from seaway_docker.loglines import Reader
from seaway_docker.logtail import TailScan


def record(text: bytes, stream: bytes = b"stdout", kind: bytes = b"F") -> bytes:
    return b"2026-01-01T00:00:00.123456789+00:00 %b %b %b\n" % (stream, kind, text)


def tail(log: bytes, lines: int, block: int) -> int:
    scan = TailScan(lines, len(log))
    position = len(log)
    while scan.offset is None:
        start = max(0, position - block)
        scan.feed_back(log[start:position])
        position = start
    return scan.offset


def text_from(log: bytes, offset: int, **streams: bool) -> bytes:
    return Reader(raw=True, **streams).feed(log[offset:])


LOG = b"".join(record(b"line %d" % n) for n in range(50))


@pytest.mark.parametrize("block", [1, 7, 100, 10_000])
@pytest.mark.parametrize("lines", [1, 2, 49, 50, 51])
def test_last_lines(lines: int, block: int) -> None:
    expected = b"".join(b"line %d\n" % n for n in range(max(0, 50 - lines), 50))
    assert text_from(LOG, tail(LOG, lines, block)) == expected


def test_no_lines_and_no_file() -> None:
    assert TailScan(0, 500).offset == 500
    assert TailScan(5, 0).offset == 0
    assert TailScan(5, 0).missing == 5


def test_what_is_missing_can_be_asked_of_an_older_file() -> None:
    scan = TailScan(60, len(LOG))
    assert scan.feed_back(LOG) == 0
    assert scan.missing == 10


def test_parts_belong_to_their_line() -> None:
    log = record(b"a") + record(b"b", kind=b"P") * 3 + record(b"B") + record(b"end", kind=b"P") * 2
    assert text_from(log, tail(log, 1, 30)) == b"endend"
    assert text_from(log, tail(log, 2, 30)) == b"bbbB\nendend"
    assert text_from(log, tail(log, 3, 30)) == b"a\nbbbB\nendend"


def test_lines_count_whichever_stream_is_shown() -> None:
    log = record(b"a") + record(b"x", b"stderr") * 9 + record(b"b") + record(b"y", b"stderr") * 9
    assert text_from(log, tail(log, 10, 64), stderr=False) == b"b\n"
    assert text_from(log, tail(log, 9, 64), stderr=False) == b""


def test_a_record_that_is_still_being_written_does_not_count() -> None:
    log = LOG + record(b"torn")[:-4]
    assert text_from(log, tail(log, 1, 64)) == b"line 49\n"


def test_a_file_without_newlines_is_read_through() -> None:
    assert tail(b"x" * 3_000_000, 5, 65_536) == 0


@given(
    st.lists(st.tuples(st.binary(max_size=5), st.sampled_from([b"F", b"P"])), max_size=15),
    st.integers(0, 16),
    st.integers(1, 200),
)
def test_one_stream_against_a_plain_reading(records: list[tuple[bytes, bytes]], lines: int, block: int) -> None:
    log = b"".join(record(text.replace(b"\n", b""), kind=kind) for text, kind in records)
    texts = [b""]
    for text, kind in records:
        texts[-1] += text.replace(b"\n", b"")
        if kind == b"F":
            texts.append(b"")
    if not records or records[-1][1] == b"F":
        texts.pop()
    expected = texts[max(0, len(texts) - lines) :] if lines else []
    unfinished = bool(records) and records[-1][1] == b"P"
    joined = b"".join(text + b"\n" for text in expected)
    assert text_from(log, tail(log, lines, block)) == (joined[:-1] if unfinished and lines else joined)


@given(st.lists(st.sampled_from([b"stdout", b"stderr"]), max_size=15), st.integers(0, 16), st.integers(1, 200))
def test_two_streams_of_full_lines(streams: list[bytes], lines: int, block: int) -> None:
    log = b"".join(record(b"%d" % number, stream) for number, stream in enumerate(streams))
    first = max(0, len(streams) - lines)
    assert text_from(log, tail(log, lines, block)) == b"".join(b"%d\n" % n for n in range(first, len(streams)))
