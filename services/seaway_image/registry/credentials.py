"""Credentials for a registry, from the model that Docker clients fill into `X-Registry-Auth`. Pure."""

import base64
import binascii
import hashlib
from dataclasses import dataclass, field

from seaway_contracts.errors import bad_request
from seaway_contracts.images import RegistryAuth


@dataclass(frozen=True)
class Credentials:
    """Who asks a registry: name and password, or an identity (refresh) token, or a ready bearer token."""

    username: str = ""
    password: str = field(default="", repr=False)
    identity_token: str = field(default="", repr=False)
    registry_token: str = field(default="", repr=False)

    def __bool__(self) -> bool:
        return bool(self.username or self.identity_token or self.registry_token)

    @property
    def basic(self) -> str:
        """The value of a Basic `Authorization` header; empty without user name or password, as in Docker."""
        if not self.username or not self.password:
            return ""
        return "Basic " + base64.b64encode(f"{self.username}:{self.password}".encode()).decode()

    @property
    def fingerprint(self) -> str:
        """A text that is equal for equal credentials and tells nothing of them: a key for sharing work."""
        parts = (self.username, self.password, self.identity_token, self.registry_token)
        return hashlib.sha256("\0".join(parts).encode()).hexdigest() if self else ""


def credentials_from(auth: RegistryAuth | None) -> Credentials:
    """The credentials in `auth`; its `auth` field (base64 of `user:password`) counts where the two are empty."""
    if auth is None:
        return Credentials()
    username, password = auth.username, auth.password
    if auth.auth and not username:
        try:
            username, _, password = base64.b64decode(auth.auth, validate=True).decode().partition(":")
        except (binascii.Error, UnicodeDecodeError):
            raise bad_request("registry credentials: auth is not base64 of user:password: log in again") from None
    for text in (username, password, auth.identity_token, auth.registry_token):
        if any(ord(sign) < 32 for sign in text):
            raise bad_request("registry credentials hold control characters; run docker login again")
    return Credentials(username, password, auth.identity_token, auth.registry_token)
