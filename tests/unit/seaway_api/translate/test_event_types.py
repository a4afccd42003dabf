"""The form of a stream of events."""

import pytest

from seaway_api.translate.event_types import stream_type


@pytest.mark.parametrize(
    ("accepted", "chosen"),
    [
        ([], "application/json"),
        (["*/*"], "application/json"),
        (["application/json"], "application/json"),
        (["application/jsonl"], "application/jsonl"),
        (["application/x-ndjson"], "application/x-ndjson"),
        (["text/html, application/json-seq;q=0.5"], "application/json-seq"),
        (["application/jsonl;q=0.1", "application/json-seq"], "application/json-seq"),
        (["application/json-seq, application/jsonl"], "application/jsonl"),
        (["application/jsonl;q=0"], "application/json"),
        (["application/jsonl;q=x"], "application/json"),
    ],
)
def test_what_is_chosen(accepted: list[str], chosen: str) -> None:
    assert stream_type(accepted) == chosen
