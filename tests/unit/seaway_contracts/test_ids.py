"""Ids and tokens."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from seaway_contracts.ids import BadToken, check_token, is_container_id, short_id


@given(st.text(max_size=140))
def test_a_token_is_one_token(text: str) -> None:
    fine = 1 <= len(text) <= 128 and all(c in "-_" or (c.isascii() and c.isalnum()) for c in text)
    if fine:
        assert check_token(text) == text
    else:
        with pytest.raises(BadToken):
            check_token(text)


def test_container_ids() -> None:
    assert is_container_id("a" * 64)
    assert not any(map(is_container_id, ("a" * 63, "a" * 65, "A" * 64, "g" * 64, "a" * 64 + "\n", "")))


def test_short_ids() -> None:
    assert short_id("sha256:" + "ab" * 32) == short_id("ab" * 32) == "ab" * 6
