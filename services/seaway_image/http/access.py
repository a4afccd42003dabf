"""Who may do what on the image service's HTTP side, by token or by login.

The services have one token for everything. A node's agent gets one of its own for a short time, with which it reads
blobs; what it may write is granted for one image at a time, whose order was given by a service. A build gets one with
which it reads everything and writes one repository. All are forgotten when this process ends: whoever is refused asks
for a new one on the bus. People log in with name and password.

At `/v2/` a token is taken as `Bearer`, and as the password of `Basic` with any name, as registry clients send it.
"""

import asyncio
import base64
import binascii
import hmac
import secrets
import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Final

from seaway_contracts.archives import Committed, ImageOrder
from seaway_image.store.image_changes import NOBODY, Cause

READ_S: Final = 120.0
"""How long a node's token is good for, in seconds."""
UPLOAD_S: Final = 3600.0
BUILD_S: Final = 24 * 3600.0
"""How long a build's token is good for, in seconds, unless it is revoked before."""
ALL: Final = "*"
_MOST: Final = 1 << 16
_BEARER: Final = "Bearer "
_BASIC: Final = "basic "


@dataclass(eq=False)
class Upload:
    """Leave to make one image: of this order, by that node. `made` once it has been."""

    node: str
    order: ImageOrder
    made: Committed | None = None
    turn: asyncio.Lock = field(default_factory=asyncio.Lock)


@dataclass(frozen=True, slots=True)
class Rights:
    """What somebody may do at `/v2/`, besides reading what is there.

    `user`: whose uploads are whose; `write`: the one repository (canonical name) that may be written, `ALL`, or none.
    `delete`: also deleting what may be written. `fetch`: names that are not here are pulled for them; `local`: from
    this machine's own registries as well. `build`: what is pushed is a build's result. `by`: in whose name.
    """

    user: str
    write: str = ""
    delete: bool = False
    fetch: bool = False
    local: bool = False
    build: bool = False
    by: Cause = NOBODY

    def may_write(self, repository: str) -> bool:
        """Whether that repository, by its canonical name, may be written."""
        return self.write in (ALL, repository)


def may_pull(user: str) -> Rights:
    """The rights of a person whose login is for pulling."""
    return Rights(user, fetch=True, by=Cause(actor=user))


def may_push(user: str) -> Rights:
    """The rights of a person whose login is for pushing, too."""
    return Rights(user, write=ALL, delete=True, fetch=True, by=Cause(actor=user))


Authorize = Callable[[str, str], Awaitable[Rights | None]]
"""What the login with this name and password may do; None if there is none. Takes its time for a wrong one."""


async def nobody(user: str, password: str) -> Rights | None:
    """No logins: tokens alone are taken."""
    return None


@dataclass(frozen=True, slots=True)
class _Grant:
    until: float
    upload: Upload | None = None
    rights: Rights | None = None


_SERVICES: Final = Rights("services", write=ALL, delete=True, fetch=True, local=True)


class Access:
    """The tokens that are good just now, and the logins."""

    def __init__(self, token: str, now: Callable[[], float] = time.monotonic, *, authorize: Authorize = nobody) -> None:
        """`token` is the services' own; `authorize` knows people's logins."""
        if not token:
            raise ValueError("the image service's HTTP side needs a token")
        self.token = token
        self._now = now
        self._authorize = authorize
        self._grants: OrderedDict[str, _Grant] = OrderedDict()
        self._readers: dict[str, str] = {}

    # --- granting

    def reader(self, node: str) -> str:
        """A token with which that node reads blobs; the same for as long as half of its time is left."""
        token = self._readers.get(node, "")
        grant = self._grants.get(token)
        if grant is None or grant.until - self._now() < READ_S / 2:
            rights = Rights(f"node {node}")
            token = self._readers[node] = self._grant(_Grant(self._now() + READ_S, rights=rights))
        return token

    def upload(self, node: str, order: ImageOrder) -> str:
        """A token with which that node makes the image of this order."""
        return self._grant(_Grant(self._now() + UPLOAD_S, Upload(node, order)))

    def build(self, repository: str, by: Cause = NOBODY) -> str:
        """A token for one build: it reads everything and writes that repository, by its canonical name."""
        user = f"build {secrets.token_hex(8)}"
        rights = Rights(user, write=repository, fetch=True, local=True, build=True, by=by)
        return self._grant(_Grant(self._now() + BUILD_S, rights=rights))

    def revoke(self, token: str) -> Rights | None:
        """End a build's token; gives what it was good for. Another token, or none, is nobody's."""
        grant = self._grants.get(token)
        if grant is None or grant.rights is None or not grant.rights.build:
            return None
        del self._grants[token]
        return grant.rights

    # --- asking

    def may_do_all(self, authorization: str) -> bool:
        """Whether a request's header has the services' token."""
        return self._is_services(_token(authorization))

    def may_read(self, authorization: str) -> bool:
        """Whether it has one with which blobs may be read."""
        return self._by_token(_token(authorization)) is not None

    def granted(self, authorization: str) -> Upload | None:
        """The image that may be made with it."""
        grant = self._find(_token(authorization))
        return grant.upload if grant is not None else None

    async def rights(self, authorization: str) -> Rights | None:
        """What a request's header is good for at `/v2/`, None for a stranger's."""
        if token := _token(authorization):
            return self._by_token(token)
        user, password = _basic(authorization)
        if not password:
            return None
        return self._by_token(password) or await self._authorize(user, password)

    def _by_token(self, token: str) -> Rights | None:
        if self._is_services(token):
            return _SERVICES
        grant = self._find(token)
        return grant.rights if grant is not None else None

    def _is_services(self, token: str) -> bool:
        return hmac.compare_digest(token.encode("utf-8", "surrogateescape"), self.token.encode())

    def _grant(self, grant: _Grant) -> str:
        for token in [token for token, one in self._grants.items() if one.until < self._now()]:
            del self._grants[token]
        if len(self._grants) >= _MOST:
            self._grants.popitem(last=False)
        token = secrets.token_urlsafe(32)
        self._grants[token] = grant
        return token

    def _find(self, token: str) -> _Grant | None:
        grant = self._grants.get(token)
        return grant if grant is not None and grant.until >= self._now() else None


def _token(authorization: str) -> str:
    return authorization.removeprefix(_BEARER) if authorization.startswith(_BEARER) else ""


def _basic(authorization: str) -> tuple[str, str]:
    """Name and password (RFC 7617); empty for anything else."""
    if authorization[: len(_BASIC)].lower() != _BASIC:
        return "", ""
    try:
        user, colon, password = (
            base64.b64decode(authorization[len(_BASIC) :].strip(), validate=True).decode().partition(":")
        )
    except (binascii.Error, ValueError):
        return "", ""
    return (user, password) if colon else ("", "")
