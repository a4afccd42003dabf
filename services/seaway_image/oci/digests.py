"""Digests: the only names by which content is stored. Pure."""

import hashlib
import re
from typing import Final, NewType

from seaway_contracts.errors import bad_request

Digest = NewType("Digest", str)
"""`sha256:` and 64 lower-case hex digits; made only by the functions of this module."""

_DIGEST: Final = re.compile(r"sha256:[0-9a-f]{64}")


def is_digest(text: object) -> bool:
    """Whether `text` is a whole sha256 digest."""
    return isinstance(text, str) and _DIGEST.fullmatch(text) is not None


def parse_digest(text: object) -> Digest:
    """`text` as a digest; anything else (md5, upper case, `../`, too short) raises SeawayError(BAD_REQUEST)."""
    if not isinstance(text, str) or not is_digest(text):
        raise bad_request(f"invalid digest {str(text)[:100]!r}: it must be sha256: and 64 lower-case hex digits")
    return Digest(text)


def digest_of(data: bytes) -> Digest:
    """The digest of `data`."""
    return Digest("sha256:" + hashlib.sha256(data).hexdigest())


def hex_of(digest: Digest) -> str:
    """The hex digits alone: the file name of a blob."""
    return digest.removeprefix("sha256:")


def short(digest: str) -> str:
    """The twelve digits that Docker shows for a layer or an image."""
    return digest.removeprefix("sha256:")[:12]
