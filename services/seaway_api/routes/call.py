"""One request, as handlers see it."""

import logging
from collections.abc import Awaitable, Callable, Mapping
from typing import Final, cast

from aiohttp import web
from multidict import MultiMapping

from seaway_api.api import Api
from seaway_api.http.connection import Connection
from seaway_api.http.errors import ApiError
from seaway_api.http.routing import Route
from seaway_api.translate.version import ApiVersion
from seaway_bus.bus import Command
from seaway_contracts.catalogue import TELL_PRUNE
from seaway_contracts.commands import Pruned, PrunedKind
from seaway_contracts.errors import SeawayError
from seaway_docker.errors import NO_CONTENT_TYPE, InvalidParameter, unsupported_content_type
from seaway_docker.go_json import Body, decode_body
from seaway_docker.numbers import parse_int

_FALSE: Final = frozenset(("", "0", "no", "false", "none"))
_JSON: Final = "application/json"
log = logging.getLogger(__name__)


class Call:
    """A request with the parts of its path, its API version, and typed access to query and body."""

    __slots__ = ("api", "params", "request", "version")

    def __init__(self, api: Api, request: web.BaseRequest, params: Mapping[str, str], version: ApiVersion) -> None:
        self.api = api
        self.request = request
        self.params = params
        self.version = version

    @property
    def name(self) -> str:
        """What the path names, without the slash that Docker puts before container names."""
        return self.params["name"].removeprefix("/")

    @property
    def query(self) -> MultiMapping[str]:
        """The query's parameters."""
        return self.request.query

    @property
    def connection(self) -> Connection:
        """The connection below the request."""
        return cast(Connection, self.request.protocol)

    def text(self, key: str, default: str = "") -> str:
        """A parameter, or what stands for it."""
        return self.query.get(key, default)

    def flag(self, key: str, default: bool = False) -> bool:
        """A parameter as Docker reads booleans: all is true but the empty text, 0, no, false and none."""
        value = self.query.get(key)
        return default if value is None else value.strip().lower() not in _FALSE

    def integer(self, key: str, default: int) -> int:
        """A number; raises InvalidParameter for what isn't one."""
        value = self.query.get(key, "")
        return parse_int(value) if value else default

    def command(self) -> Command:
        """A fresh command in this client's name."""
        return Command.new(self.connection.actor)

    async def body(self, model: type[Body]) -> Body:
        """The JSON body. Raises InvalidParameter (400) for what doesn't fit, ApiError (413) for too much of it."""
        self._check_content_type()
        return decode_body(model, await self._read())

    async def optional_body(self, model: type[Body]) -> Body:
        """The same; no body at all is an empty object."""
        return await self.body(model) if self.request.can_read_body else model()

    async def raw_body(self) -> bytes:
        """The body as it came, of any type. Raises ApiError (413) for too much of it."""
        return await self._read() if self.request.can_read_body else b""

    def _check_content_type(self) -> None:
        request = self.request
        given = request.headers.get("Content-Type", "")
        if given.partition(";")[0].strip().lower() == _JSON or (not given and not request.can_read_body):
            return
        if not given:
            raise InvalidParameter(NO_CONTENT_TYPE)
        raise InvalidParameter(unsupported_content_type(given.partition(";")[0].strip()))

    async def _read(self) -> bytes:
        limit = self.api.settings.max_body
        if (self.request.content_length or 0) > limit:
            raise _too_large(limit)
        chunks: list[bytes] = []
        size = 0
        while chunk := await self.request.content.readany():
            size += len(chunk)
            if size > limit:
                raise _too_large(limit)
            chunks.append(chunk)
        return b"".join(chunks)


Handler = Callable[[Call], Awaitable[web.StreamResponse]]
ApiRoute = Route[Handler]


def _too_large(limit: int) -> ApiError:
    return ApiError(413, f"the request's body is too large: at most {limit} bytes are taken")


async def tell_prune(call: Call, kind: PrunedKind, reclaimed: int) -> None:
    """Have metadata publish the event of a prune. Logs a failure: what was removed stays removed."""
    try:
        await call.api.bus.call(TELL_PRUNE, Pruned(kind=kind, reclaimed=reclaimed), command=call.command())
    except SeawayError as error:
        log.warning("no event says that %ss were pruned: %s", kind, error)
