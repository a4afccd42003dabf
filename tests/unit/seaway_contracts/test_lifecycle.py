"""The envelope, and the date arithmetic in it."""

import datetime

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


@given(st.integers(0, 253_402_300_799_999_999_999))
def test_time_is_rfc_3339(ns: int) -> None:
    seconds, nanos = divmod(ns, 1_000_000_000)
    expected = datetime.datetime.fromtimestamp(0, datetime.UTC) + datetime.timedelta(seconds=seconds)
    assert _rfc3339(ns) == f"{expected:%Y-%m-%dT%H:%M:%S}.{nanos:09}Z".rjust(30, "0")
