"""The envelope, and the time in it."""

import calendar
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from seaway_contracts.lifecycle import Envelope, _rfc3339

envelopes = st.builds(
    Envelope,
    id=st.text("abc012-", min_size=1),
    node=st.text("n12", min_size=1),
    noun=st.sampled_from(["container", "image"]),
    action=st.sampled_from(["start", "die"]),
    subject_id=st.text("abc012", min_size=1),
    time_ns=st.integers(0, 2**62),
    seq=st.integers(0, 2**40),
    cause=st.text("abc"),
    actor=st.text("abc"),
)


@given(envelopes)
def test_comes_back_from_its_headers(envelope: Envelope) -> None:
    headers = envelope.headers()
    assert Envelope.from_headers(headers) == envelope
    assert headers["Nats-Msg-Id"] == headers["ce-id"] == envelope.id


@pytest.mark.parametrize("kind", ["", "io.seaway.v1.", "io.seaway.v1.container", "com.example.x.y"])
def test_others_are_refused(kind: str) -> None:
    with pytest.raises(ValueError, match="not a Seaway event"):
        Envelope.from_headers({"ce-type": kind, "ce-id": "1"})


@pytest.mark.parametrize(
    ("ns", "text"),
    [
        (0, "1970-01-01T00:00:00.000000000Z"),
        (951_782_399_000_000_001, "2000-02-28T23:59:59.000000001Z"),
        (951_868_799_999_999_999, "2000-02-29T23:59:59.999999999Z"),
        (951_868_800_000_000_000, "2000-03-01T00:00:00.000000000Z"),
        (4_107_542_400_000_000_000, "2100-03-01T00:00:00.000000000Z"),
        (253_402_300_799_999_999_999, "9999-12-31T23:59:59.999999999Z"),
    ],
)
def test_time_is_rfc_3339(ns: int, text: str) -> None:
    assert _rfc3339(ns) == text


@given(st.integers(0, 253_402_300_799_999_999_999))
def test_time_is_the_time(ns: int) -> None:
    text = _rfc3339(ns)
    seconds = calendar.timegm(time.strptime(text[:19], "%Y-%m-%dT%H:%M:%S"))
    assert seconds * 1_000_000_000 + int(text[20:29]) == ns
