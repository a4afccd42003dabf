"""Logins at Seaway's own registry (the image service's `/v2/`): what they may do, how a password is kept. Pure.

A password is kept as the string that other programs know, too (PHC string format): `$scrypt$ln=14,r=8,p=1$SALT$HASH`,
both in base64 without padding. `ln` is the logarithm of scrypt's N (RFC 7914); memory is 128 × r × N bytes.
"""

import base64
import re
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from seaway_contracts.base import Payload
from seaway_contracts.errors import bad_request

MOST_REGISTRY_USERS: Final = 1000
SALT_BYTES: Final = 16
HASH_BYTES: Final = 32
_HASH: Final = re.compile(r"\$scrypt\$ln=(\d\d),r=(\d),p=(\d)\$([A-Za-z0-9+/]{22})\$([A-Za-z0-9+/]{43})")
_LN: Final = range(14, 17)
"""What a record may ask of the image service: 16 to 64 MiB for each password that it checks."""


class RegistryRights(StrEnum):
    """What a login is for; who may push may pull and delete, too."""

    PULL = "pull"
    PUSH = "push"


class RegistryAccess(Payload):
    """A user's login at the registry. `password` is the hash; it is empty where users are listed."""

    rights: RegistryRights
    password: str = ""


@dataclass(frozen=True)
class PasswordHash:
    """A hash and all that is needed to compute it again."""

    ln: int
    r: int
    p: int
    salt: bytes
    digest: bytes

    def __str__(self) -> str:
        salt, digest = (base64.b64encode(part).decode().rstrip("=") for part in (self.salt, self.digest))
        return f"$scrypt$ln={self.ln},r={self.r},p={self.p}${salt}${digest}"


def parse_hash(text: str) -> PasswordHash:
    """The hash in a text; raises ValueError for another text, or one that asks for more work than is done for any."""
    found = _HASH.fullmatch(text)
    if found is None:
        raise ValueError("this is no hash of a password by scrypt")
    ln, r, p = (int(number) for number in found.groups()[:3])
    if ln not in _LN or r != 8 or p != 1:
        raise ValueError(f"scrypt with ln={ln}, r={r}, p={p} is not taken: ln is 14 to 16, r 8, p 1")
    salt, digest = (base64.b64decode(part + "=" * (-len(part) % 4)) for part in found.groups()[3:])
    return PasswordHash(ln, r, p, salt, digest)


def check_registry_access(access: RegistryAccess) -> None:
    """Raise SeawayError (BAD_REQUEST) for a password that isn't kept as it should be."""
    try:
        parse_hash(access.password)
    except ValueError as error:
        raise bad_request(str(error)) from None


def without_password(access: RegistryAccess | None) -> RegistryAccess | None:
    """The same, for showing."""
    return access.model_copy(update={"password": ""}) if access is not None else None
