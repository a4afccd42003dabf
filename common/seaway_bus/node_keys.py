"""A node's own key pair (NATS nkey, Ed25519): made on the node, kept in one file, and used to sign the server's nonce.

The library is imported when it is first needed: services that log in by password have no use for it.
"""

import base64
import binascii
import secrets
from typing import Any, Final

_SEED_BYTES: Final = 32
_PUBLIC_BYTES: Final = 32
_CHECKSUM_BYTES: Final = 2


class BadKey(ValueError):
    """A text that is no nkey of a user."""


def new_seed() -> str:
    """The seed of a new pair (`SU…`), which is its private half."""
    import nkeys

    seed: bytes = nkeys.encode_seed(secrets.token_bytes(_SEED_BYTES), nkeys.PREFIX_BYTE_USER)
    return seed.decode()


def public_key(seed: str) -> str:
    """The public half (`U…`); raises BadKey."""
    key: bytes = _pair(seed).public_key
    return key.decode()


def signature(seed: str, nonce: str) -> str:
    """The nonce's signature as a server takes it in CONNECT; raises BadKey."""
    return base64.urlsafe_b64encode(_pair(seed).sign(nonce.encode())).rstrip(b"=").decode()


def check_public_key(text: str) -> str:
    """Return `text` if it is a user's public key; raise BadKey otherwise.

    A server refuses its whole configuration because of one key that is mistyped.
    """
    import nkeys

    try:
        raw = base64.b32decode(text)
    except (binascii.Error, ValueError):
        raise BadKey("the public key is not base32") from None
    key, checksum = raw[:-_CHECKSUM_BYTES], raw[-_CHECKSUM_BYTES:]
    if len(key) != 1 + _PUBLIC_BYTES or key[0] != nkeys.PREFIX_BYTE_USER or nkeys.crc16_checksum(key) != checksum:
        raise BadKey("the public key is no user's nkey, or was mistyped")
    return text


def _pair(seed: str) -> Any:
    import nkeys

    try:
        pair = nkeys.from_seed(seed.strip().encode())
        pair.public_key  # noqa: B018 - decodes the seed
    except (nkeys.NkeysError, ValueError, TypeError) as error:
        raise BadKey(f"no nkey seed: {error}") from None
    if not seed.strip().startswith("SU"):
        raise BadKey("the seed is not a user's: it must begin with SU")
    return pair
