"""What events never show: the values of labels whose key says that they are secret. Pure.

Environment, arguments and credentials are in no event at all. Labels are, as Docker's attributes.
"""

import re
from collections.abc import Mapping
from functools import lru_cache
from typing import Final

MASK: Final = "***"
SECRET_WORDS: Final = (
    "password",
    "passwd",
    "passphrase",
    "pwd",
    "secret",
    "token",
    "credential",
    "api key",
    "access key",
    "private key",
    "basicauth",
)
"""A key that has one of these, in any case and with `.`, `_`, `-` or nothing for the space, is one of a secret."""
_SECRET: Final = re.compile("|".join(word.replace(" ", "[._-]?") for word in SECRET_WORDS), re.IGNORECASE)


@lru_cache(maxsize=4096)
def is_secret(key: str) -> bool:
    """Whether the value of a label with this key must not be shown."""
    return _SECRET.search(key) is not None


def masked(labels: Mapping[str, str]) -> dict[str, str]:
    """The labels, with `MASK` for the values of those that are secret."""
    return {key: MASK if is_secret(key) else value for key, value in labels.items()}
