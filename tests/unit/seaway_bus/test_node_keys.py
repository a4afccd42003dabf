import base64

import nkeys
import pytest

from seaway_bus.nats_transport import Credentials
from seaway_bus.node_keys import BadKey, check_public_key, new_seed, public_key, signature


def test_a_pair_signs_what_its_public_key_proves() -> None:
    seed = new_seed()
    assert seed.startswith("SU") and public_key(seed).startswith("U") and public_key(seed + "\n") == public_key(seed)
    assert new_seed() != seed
    text = signature(seed, "nonce")
    raw = base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
    assert nkeys.from_seed(seed.encode()).verify(b"nonce", raw)


@pytest.mark.parametrize("seed", ["", "SU", "x", "é" * 58, nkeys.encode_seed(b"s" * 32, nkeys.PREFIX_BYTE_ACCOUNT)])
def test_what_is_no_seed_of_a_user(seed: str | bytes) -> None:
    with pytest.raises(BadKey):
        public_key(seed if isinstance(seed, str) else seed.decode())


def test_public_keys_are_checked_to_the_last_letter() -> None:
    key = public_key(new_seed())
    assert check_public_key(key) == key
    account = nkeys.from_seed(nkeys.encode_seed(b"s" * 32, nkeys.PREFIX_BYTE_OPERATOR)).public_key.decode()
    other = "A" if key[20] != "A" else "B"
    for wrong in ("", key[:-1], key.lower(), key[:20] + other + key[21:], account, "é" * 56):
        with pytest.raises(BadKey):
            check_public_key(wrong)


def test_secrets_are_not_shown() -> None:
    assert "word" not in repr(Credentials("u", "word", seed="word"))
