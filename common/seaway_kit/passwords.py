"""Passwords of logins at the registry: made, hashed by scrypt, compared."""

import hashlib
import hmac
import secrets
from typing import Final

from seaway_contracts.registry_users import HASH_BYTES, SALT_BYTES, PasswordHash, parse_hash

_LN: Final = 14
_R: Final = 8
_P: Final = 1
_SLACK: Final = 1 << 20


def new_password() -> str:
    """A password of 192 bits, in letters that need no quoting anywhere."""
    return secrets.token_urlsafe(24)


def hash_password(password: str) -> str:
    """The password's hash, with a new salt, as `parse_hash` reads it. Takes some hundredths of a second."""
    salt = secrets.token_bytes(SALT_BYTES)
    return str(PasswordHash(_LN, _R, _P, salt, _scrypt(password, _LN, _R, _P, salt)))


def is_password(password: str, kept: str) -> bool:
    """Whether the hash is this password's; raises ValueError for no hash. Takes as long as `hash_password`."""
    found = parse_hash(kept)
    return hmac.compare_digest(_scrypt(password, found.ln, found.r, found.p, found.salt), found.digest)


def _scrypt(password: str, ln: int, r: int, p: int, salt: bytes) -> bytes:
    most = 128 * r * (1 << ln) + _SLACK
    data = password.encode("utf-8", "surrogateescape")
    return hashlib.scrypt(data, salt=salt, n=1 << ln, r=r, p=p, maxmem=most, dklen=HASH_BYTES)
