import pytest

from seaway_contracts.errors import SeawayError
from seaway_image.oci.digests import digest_of, hex_of, parse_digest, short

GOOD = "sha256:" + "a" * 64


def test_a_digest_is_taken_and_cut() -> None:
    digest = parse_digest(GOOD)
    assert hex_of(digest) == "a" * 64
    assert short(digest) == "a" * 12


@pytest.mark.parametrize(
    "text",
    ["", "sha256:", "sha256:" + "a" * 63, "sha256:" + "A" * 64, "sha256:../../etc/passwd", "md5:" + "a" * 32,
     GOOD + "\n", GOOD + "/..", "a" * 64, None, 7],
)  # fmt: skip
def test_anything_else_is_refused(text: object) -> None:
    with pytest.raises(SeawayError, match="invalid digest"):
        parse_digest(text)


def test_digest_of_nothing() -> None:
    assert digest_of(b"") == "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
