import pytest

from seaway_contracts.errors import Code, SeawayError
from seaway_image.oci.documents import parse_document


def test_an_object_is_read() -> None:
    assert parse_document(b'{"a": [1, {"b": null}]}', "thing") == {"a": [1, {"b": None}]}


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (b"[]", "no JSON object"),
        (b"{", "not valid JSON"),
        (b'{"a": 1, "a": 2}', "stands twice"),
        (b'{"x": {"layers": 1, "layers": 2}}', "stands twice"),
        (b'{"a": NaN}', "no JSON number"),
        (b'{"a": ' + b"[" * 100_000 + b"]" * 100_000 + b"}", "nested more than 64 deep"),
        (b'{"a": ' + b"[" * 70 + b"]" * 70 + b"}", "nested more than 64 deep"),
        (b'{"a": "\xff"}', "not valid JSON"),
        (b'{"a": ' + b"9" * 5000 + b"}", "not valid JSON"),
        ('{"a": 1}'.encode("utf-16"), "not valid JSON"),
        (b'{"a": 1} {}', "not valid JSON"),
    ],
)
def test_tricks_are_refused(data: bytes, why: str) -> None:
    with pytest.raises(SeawayError, match=why):
        parse_document(data, "thing")


def test_a_large_document_is_refused_unread() -> None:
    with pytest.raises(SeawayError) as refused:
        parse_document(b"{" + b" " * (5 << 20), "manifest")
    assert refused.value.code is Code.TOO_LARGE
