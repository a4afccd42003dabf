import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from seaway_docker.stdcopy import STDERR, STDOUT, SYSTEM_ERROR, BrokenStream, Decoder, FrameTail, frame


def test_a_frame_to_the_byte() -> None:
    assert frame(STDOUT, b"hi\n") == b"\x01\0\0\0\0\0\0\x03hi\n"
    assert frame(STDERR, b"x" * 258)[:8] == b"\x02\0\0\0\0\0\x01\x02"


def test_data_comes_before_its_frame_is_complete() -> None:
    decoder = Decoder()
    assert decoder.feed(frame(STDOUT, b"abcdef")[:10]) == [(STDOUT, b"ab")]
    assert not decoder.between_frames
    assert decoder.feed(b"cdef") == [(STDOUT, b"cdef")]
    assert decoder.between_frames


def test_an_unknown_stream_is_refused() -> None:
    with pytest.raises(BrokenStream, match="Unrecognized input header: 72"):
        Decoder().feed(b"HTTP/1.1 200 OK")


def test_an_empty_frame_gives_nothing() -> None:
    assert Decoder().feed(frame(STDOUT, b"") + frame(STDERR, b"e")) == [(STDERR, b"e")]


FRAMES = st.lists(st.tuples(st.integers(0, 3), st.binary(max_size=40)), max_size=10)


@given(FRAMES, st.lists(st.integers(0, 500), max_size=12))
def test_any_cut_gives_the_same_data(frames: list[tuple[int, bytes]], cuts: list[int]) -> None:
    data = b"".join(frame(stream, text) for stream, text in frames)
    bounds = sorted({0, len(data), *(cut for cut in cuts if cut < len(data))})
    decoder = Decoder()
    pieces = [piece for a, b in itertools.pairwise(bounds) for piece in decoder.feed(data[a:b])]
    assert expand(pieces) == expand(frames)
    assert decoder.between_frames


def expand(pieces: list[tuple[int, bytes]]) -> list[tuple[int, int]]:
    """Each byte with its stream, so that order across streams counts but cuts do not."""
    return [(stream, byte) for stream, text in pieces for byte in text]


@given(texts=st.lists(st.binary(max_size=300), max_size=5), data=st.data())
def test_frames_that_break_off_anywhere_can_be_completed(texts: list[bytes], data: st.DataObject) -> None:
    whole = b"".join(frame(STDOUT, text) for text in texts)
    sent = whole[: data.draw(st.integers(0, len(whole)))]
    tail, position = FrameTail(), 0
    while position < len(sent):
        size = data.draw(st.integers(1, len(sent) - position))
        tail.feed(sent[position : position + size])
        position += size
    arrived = b"".join(piece for _, piece in Decoder().feed(sent))
    decoder = Decoder()
    found = decoder.feed(sent + tail.rest() + frame(SYSTEM_ERROR, b"why"))
    assert decoder.between_frames and found[-1] == (SYSTEM_ERROR, b"why")
    text = b"".join(piece for _, piece in found[:-1])
    assert text.startswith(arrived) and not text[len(arrived) :].strip(b"\0")
