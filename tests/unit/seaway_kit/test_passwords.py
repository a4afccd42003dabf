import pytest

from seaway_kit.passwords import hash_password, is_password, new_password


def test_a_password_fits_its_hash_alone() -> None:
    password = new_password()
    kept = hash_password(password)
    assert password not in kept and kept != hash_password(password)
    assert is_password(password, kept)
    assert not is_password(new_password(), kept)
    assert is_password("pässwörd\udcff", hash_password("pässwörd\udcff"))


def test_another_text_is_no_hash() -> None:
    with pytest.raises(ValueError, match="no hash"):
        is_password("x", "x")
