"""How passwords of logins at the registry are kept."""

import pytest

from seaway_contracts.errors import Code, SeawayError
from seaway_contracts.registry_users import (
    RegistryAccess,
    RegistryRights,
    check_registry_access,
    parse_hash,
    without_password,
)

HASH = f"$scrypt$ln=14,r=8,p=1${'A' * 22}${'B' * 42}A"


def test_a_hash_is_read_and_written() -> None:
    assert str(parse_hash(HASH)) == HASH


@pytest.mark.parametrize(
    "text",
    [
        "",
        "secret",
        HASH.replace("14", "31"),
        HASH.replace("14", "10"),
        HASH.replace("r=8", "r=9"),
        HASH.replace("p=1", "p=9"),
        HASH + "A",
        HASH.replace("scrypt", "argon2id"),
        HASH + "\n",
    ],
)
def test_what_is_no_hash_or_asks_for_too_much_work(text: str) -> None:
    with pytest.raises(SeawayError) as refused:
        check_registry_access(RegistryAccess(rights=RegistryRights.PULL, password=text))
    assert refused.value.code is Code.BAD_REQUEST


def test_what_is_shown() -> None:
    access = RegistryAccess(rights=RegistryRights.PUSH, password=HASH)
    assert without_password(access) == RegistryAccess(rights=RegistryRights.PUSH)
    assert without_password(None) is None
