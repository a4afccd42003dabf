"""`WWW-Authenticate` (RFC 9110 section 11.6.1) as registries send it, and the token that answers it. Pure."""

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Final, TypeGuard
from urllib.parse import urlencode, urlsplit

from seaway_contracts.errors import Code, SeawayError
from seaway_image.oci.documents import parse_document

_SCHEME: Final = re.compile(r"\s*([A-Za-z][A-Za-z0-9_-]*)(?:\s+(?=[A-Za-z])|\s*$|\s*,)")
_PARAMETER: Final = re.compile(r'\s*([A-Za-z_-]+)\s*=\s*(?:"((?:[^"\\]|\\.)*)"|([^\s,"]*))\s*(?:,|$)')
MAX_TOKEN: Final = 64 << 10
_MIN_LIFE_S: Final = 60.0


@dataclass(frozen=True)
class Challenge:
    """One way to authenticate; `scheme` in lower case."""

    scheme: str
    parameters: dict[str, str]


@dataclass(frozen=True)
class Token:
    """A bearer token and how long it is good for, in seconds; an identity (refresh) token, where one came with it."""

    value: str
    life_s: float
    identity_token: str = field(default="", repr=False)


def parse_challenges(headers: Sequence[str]) -> list[Challenge]:
    """All challenges in these header lines; what can't be read is left out."""
    found = []
    for header in headers:
        rest = header[:8192]
        while scheme := _SCHEME.match(rest):
            rest = rest[scheme.end() :]
            parameters = {}
            while parameter := _PARAMETER.match(rest):
                key, quoted, bare = parameter.groups()
                parameters[key.lower()] = bare if quoted is None else re.sub(r"\\(.)", r"\1", quoted)
                rest = rest[parameter.end() :]
            found.append(Challenge(scheme[1].lower(), parameters))
    return found


def is_scope_refusal(challenges: Sequence[Challenge]) -> bool:
    """Whether a token was good, but does not cover what was asked for (RFC 6750 section 3.1)."""
    return any(one.parameters.get("error") == "insufficient_scope" for one in challenges)


def token_url(challenge: Challenge, scope: str, account: str, *, offline: bool = False) -> str:
    """The URL to GET a token from (distribution spec, token authentication); `offline`: with an identity token."""
    query = [("account", account)] if account else []
    query += [("client_id", "seaway")] + ([("offline_token", "true")] if offline else [])
    query += [(key, challenge.parameters[key]) for key in ("service",) if key in challenge.parameters]
    query += [("scope", one) for one in scope.split(" ") if one]
    realm = challenge.parameters.get("realm", "")
    return realm + ("&" if urlsplit(realm).query else "?") + urlencode(query)


def refresh_form(challenge: Challenge, scope: str, identity_token: str) -> dict[str, str]:
    """The form to POST for a token by an identity token (distribution spec, OAuth2 token authentication)."""
    return {
        "grant_type": "refresh_token",
        "refresh_token": identity_token,
        "service": challenge.parameters.get("service", ""),
        "scope": scope,
        "client_id": "seaway",
    }


def parse_token(data: bytes) -> Token:
    """The token in an authorization server's answer; raises SeawayError(UNAUTHORIZED) if there is none."""
    document: dict[str, Any] = parse_document(data, "token response", limit=MAX_TOKEN)
    value = document.get("token") or document.get("access_token")
    if not _is_token(value):
        raise SeawayError(Code.UNAUTHORIZED, "authorization server did not include a token in the response")
    life, refresh = document.get("expires_in"), document.get("refresh_token")
    life_s = max(_MIN_LIFE_S, float(life)) if isinstance(life, int) else _MIN_LIFE_S
    return Token(value, life_s, refresh if _is_token(refresh) else "")


def _is_token(value: Any) -> TypeGuard[str]:
    """Whether it is a text that a header can carry."""
    return isinstance(value, str) and bool(value) and value.isascii() and value.isprintable()
