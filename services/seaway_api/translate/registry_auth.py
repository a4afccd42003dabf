"""Credentials as Docker's clients send them in `X-Registry-Auth`. Pure."""

import base64
import binascii
from collections.abc import Mapping
from typing import Any

import orjson

from seaway_contracts.images import RegistryAuth
from seaway_docker.errors import InvalidParameter


def parse_registry_config(text: str) -> dict[str, RegistryAuth]:
    """Credentials by registry, as a build's client sends them in `X-Registry-Config`. Raises InvalidParameter.

    As dockerd does, what can't be decoded is no credential.
    """
    try:
        fields = _decoded(text) if text else {}
    except (binascii.Error, ValueError):
        return {}
    found = {str(key): _auth(value) for key, value in fields.items() if isinstance(value, dict)}
    return {key: auth for key, auth in found.items() if auth is not None}


def parse_registry_auth(text: str) -> RegistryAuth | None:
    """Base64 (URL alphabet, padding optional) of JSON; None for nothing. Raises InvalidParameter."""
    if not text:
        return None
    try:
        fields = _decoded(text)
    except (binascii.Error, ValueError) as error:
        raise InvalidParameter(f"invalid X-Registry-Auth header: {error}") from None
    return _auth(fields)


def _decoded(text: str) -> dict[str, Any]:
    padded = text.replace("+", "-").replace("/", "_") + "=" * (-len(text) % 4)
    fields = orjson.loads(base64.urlsafe_b64decode(padded))
    if not isinstance(fields, dict):
        raise ValueError("it must be a JSON object")
    return fields


def _auth(fields: Mapping[str, Any]) -> RegistryAuth | None:
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
