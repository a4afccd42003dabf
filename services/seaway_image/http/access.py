"""Who may do what on the image service's HTTP side, by bearer token.

The services have one token for everything. A node's agent gets one of its own for a short time, with which it reads
blobs; what it may write is granted for one image at a time, whose order was given by a service. All are forgotten when
this process ends: whoever is refused asks for a new one on the bus.
"""

import asyncio
import hmac
import secrets
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

from seaway_contracts.archives import Committed, ImageOrder

READ_S: Final = 120.0
"""How long a node's token is good for, in seconds."""
UPLOAD_S: Final = 3600.0
_MOST: Final = 1 << 16
_BEARER: Final = "Bearer "


@dataclass(eq=False)
class Upload:
    """Leave to make one image: of this order, by that node. `made` once it has been."""

    node: str
    order: ImageOrder
    made: Committed | None = None
    turn: asyncio.Lock = field(default_factory=asyncio.Lock)


@dataclass(frozen=True, slots=True)
class _Grant:
    until: float
    upload: Upload | None = None


class Access:
    """The tokens that are good just now."""

    def __init__(self, token: str, now: Callable[[], float] = time.monotonic) -> None:
        """`token` is the services' own."""
        if not token:
            raise ValueError("the image service's HTTP side needs a token")
        self.token = token
        self._now = now
        self._grants: OrderedDict[str, _Grant] = OrderedDict()
        self._readers: dict[str, str] = {}

    def reader(self, node: str) -> str:
        """A token with which that node reads blobs; the same for as long as half of its time is left."""
        token = self._readers.get(node, "")
        grant = self._grants.get(token)
        if grant is None or grant.until - self._now() < READ_S / 2:
            token = self._readers[node] = self._grant(_Grant(self._now() + READ_S))
        return token

    def upload(self, node: str, order: ImageOrder) -> str:
        """A token with which that node makes the image of this order."""
        return self._grant(_Grant(self._now() + UPLOAD_S, Upload(node, order)))

    def may_do_all(self, authorization: str) -> bool:
        """Whether a request's header has the services' token."""
        given = authorization.removeprefix(_BEARER).encode("utf-8", "surrogateescape")
        return authorization.startswith(_BEARER) and hmac.compare_digest(given, self.token.encode())

    def may_read(self, authorization: str) -> bool:
        """Whether it has one with which blobs may be read."""
        grant = self._find(authorization)
        return self.may_do_all(authorization) or (grant is not None and grant.upload is None)

    def granted(self, authorization: str) -> Upload | None:
        """The image that may be made with it."""
        grant = self._find(authorization)
        return grant.upload if grant is not None else None

    def _grant(self, grant: _Grant) -> str:
        for token in [token for token, one in self._grants.items() if one.until < self._now()]:
            del self._grants[token]
        if len(self._grants) >= _MOST:
            self._grants.popitem(last=False)
        token = secrets.token_urlsafe(32)
        self._grants[token] = grant
        return token

    def _find(self, authorization: str) -> _Grant | None:
        grant = self._grants.get(authorization.removeprefix(_BEARER)) if authorization.startswith(_BEARER) else None
        return grant if grant is not None and grant.until >= self._now() else None
