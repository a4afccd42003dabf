"""Credentials as Docker's clients send them in `X-Registry-Auth`. Pure."""

import base64
import binascii

import orjson

from seaway_contracts.images import RegistryAuth
from seaway_docker.errors import InvalidParameter


def parse_registry_auth(text: str) -> RegistryAuth | None:
    """Base64 (URL alphabet, padding optional) of JSON; None for nothing. Raises InvalidParameter."""
    if not text:
        return None
    try:
        padded = text.replace("+", "-").replace("/", "_") + "=" * (-len(text) % 4)
        fields = orjson.loads(base64.urlsafe_b64decode(padded))
    except (binascii.Error, ValueError) as error:
        raise InvalidParameter(f"invalid X-Registry-Auth header: {error}") from None
    if not isinstance(fields, dict):
        raise InvalidParameter("invalid X-Registry-Auth header: it must be a JSON object")
    names = {
        "username": "username",
        "password": "password",
        "auth": "auth",
        "serveraddress": "server_address",
        "identitytoken": "identity_token",
        "registrytoken": "registry_token",
    }
    given = {ours: str(fields[theirs]) for theirs, ours in names.items() if fields.get(theirs)}
    return RegistryAuth(**given) if given else None
