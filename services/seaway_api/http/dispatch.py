"""From a request to its handler: version, host check, routing, errors, metrics."""

import asyncio
import contextlib
import logging
import time
from collections.abc import Awaitable, Callable, Mapping
from typing import Final, Generic, TypeVar, cast

from aiohttp import web
from prometheus_client import Counter, Gauge, Histogram

from seaway_api.http import errors, replies, spans
from seaway_api.http.connection import Connection
from seaway_api.http.errors import ApiError
from seaway_api.http.origin import check_origin
from seaway_api.http.routing import Match, Route, Router, clean_path, split_version
from seaway_api.translate.version import API_VERSION, MIN_API_VERSION, NEWEST, ApiVersion, too_new, too_old
from seaway_bus.metrics import labelled
from seaway_contracts.errors import unavailable
from seaway_docker.errors import PAGE_NOT_FOUND, client_too_new, client_too_old
from seaway_kit import tracing
from seaway_kit.metrics import DOCKERD_BUCKETS

log = logging.getLogger(__name__)
C = TypeVar("C")
Handler = Callable[[C], Awaitable[web.StreamResponse]]

REQUESTS: Final = Counter("seaway_api_requests_total", "Requests answered.", ["method", "route", "status"])
SECONDS: Final = Histogram(
    "seaway_api_request_seconds",
    "From a request's head to the end of its answer; without those that wait or stream.",
    ["method", "route"],
    buckets=(0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 10, 60),
)
BEGUN: Final = Counter("seaway_api_requests_begun_total", "Requests begun.")
IN_HAND: Final = Gauge(
    "seaway_api_requests_in_hand", "Requests that are not answered to their end yet.", ["method", "route"]
)
HOST_INFO_SECONDS: Final = Histogram(
    "engine_daemon_host_info_functions_seconds",
    "The time that it takes to gather information about the host.",
    ["function"],
    buckets=DOCKERD_BUCKETS,
)
IMAGE_SECONDS: Final = Histogram(
    "engine_daemon_image_actions_seconds",
    "The time that each image action takes.",
    ["action"],
    buckets=DOCKERD_BUCKETS,
)
AS_DOCKERD: Final = {
    ("GET", "/info"): (HOST_INFO_SECONDS, "system_info"),
    ("GET", "/version"): (HOST_INFO_SECONDS, "system_version"),
    ("DELETE", "/images/{name}"): (IMAGE_SECONDS, "delete"),
    ("GET", "/images/{name}/history"): (IMAGE_SECONDS, "history"),
    ("POST", "/images/create"): (IMAGE_SECONDS, "pull"),
}
"""Routes → how dockerd times the work for them in its metrics. Imports count as pulls."""
_BAD: Final = 400
_PATIENCE_S: Final = 5.0
_NO_ROUTE: Final = "none"
_METHODS: Final = frozenset(("GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS", "PATCH"))


class Dispatcher(Generic[C]):
    """The server's one handler."""

    def __init__(
        self,
        routes: list[Route[Handler[C]]],
        make_call: Callable[[web.BaseRequest, Mapping[str, str], ApiVersion], C],
        trouble: Callable[[], str],
        begun: asyncio.Event | None = None,
        *,
        behind_proxy: bool = False,
    ) -> None:
        """`make_call` makes what handlers take of a request, its path's parts and its API version.

        Requests wait for `begun`; `trouble` says why it doesn't come. `behind_proxy`: browsers reach unix sockets too.
        """
        self._router: Router[Handler[C]] = Router(routes)
        self._make_call = make_call
        self._trouble = trouble
        self._begun = begun
        self._behind_proxy = behind_proxy

    async def __call__(self, request: web.BaseRequest) -> web.StreamResponse:
        """Answer one request; never raises but for a lost connection."""
        if not tracing.on():
            return await self._answer(request)
        with spans.request(request):
            return await self._answer(request)

    async def _answer(self, request: web.BaseRequest) -> web.StreamResponse:
        started = time.perf_counter()
        BEGUN.inc()
        connection = cast(Connection, request.protocol)
        route: Route[Handler[C]] | None = None
        try:
            match, version = self._find(request, connection)
            if isinstance(match, web.Response):
                return self._done(request, None, match, connection, started)
            route = match.route
            with labelled(IN_HAND, request.method, route.template).track_inprogress():
                response = await self._run(request, self._make_call(request, match.params, version), route, connection)
        except ConnectionError:
            raise
        except Exception as error:
            if request.writer.output_size > 0 or connection.taken:
                log.warning("%s %s broke off: %s", request.method, request.path, error)
                raise ConnectionResetError("the answer broke off") from error
            response = errors.reply(error)
        return self._done(request, route, response, connection, started)

    def _done(
        self,
        request: web.BaseRequest,
        route: Route[Handler[C]] | None,
        response: web.StreamResponse,
        connection: Connection,
        started: float,
    ) -> web.StreamResponse:
        if connection.upgrading and not isinstance(response, replies.Taken):
            connection.decline()
        connection.answered()
        _count(request.method, route, response.status, time.perf_counter() - started)
        return response

    def _find(
        self, request: web.BaseRequest, connection: Connection
    ) -> tuple[Match[Handler[C]] | web.Response, ApiVersion]:
        """The route, or the answer of a request that needs none."""
        if connection.over_tcp or self._behind_proxy:
            check_origin(request.headers, verified=connection.ssl_context is not None)
        raw_path = request.rel_url.raw_path
        version, path, text = split_version(raw_path)
        match = self._router.find(request.method, path) if version is not None else None
        if request.method == "OPTIONS" and version is not None:  # as dockerd: on any path, known or not
            _check_version(version, text)
            return replies.empty(200), version
        if match is None and (cleaned := clean_path(raw_path)) != raw_path:
            return replies.moved(cleaned), NEWEST
        if match is None or version is None:
            raise ApiError(404, PAGE_NOT_FOUND)
        _check_version(version, text)
        return match, version

    async def _run(
        self, request: web.BaseRequest, call: C, route: Route[Handler[C]], connection: Connection
    ) -> web.StreamResponse:
        if request.headers.get("Expect", "").lower() == "100-continue":
            await _go_on(request)
        if not route.early and (begun := self._begun) is not None and not begun.is_set():
            await self._begin(begun, connection)
        if not route.waits:
            return await route.handler(call)
        if connection.ended and not connection.upgrading:
            raise ConnectionResetError("the client has hung up")
        connection.waiting = asyncio.current_task()
        try:
            return await route.handler(call)
        finally:
            connection.waiting = None

    async def _begin(self, begun: asyncio.Event, connection: Connection) -> None:
        """A new process answers what has come meanwhile once it hears the bus, or says in a moment why it does not."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_PATIENCE_S):
                await begun.wait()
        if connection.ended and not connection.upgrading:
            raise ConnectionResetError("the client has hung up")
        if begun.is_set():
            return
        trouble = self._trouble()
        raise errors.bus_away(trouble) if trouble else unavailable("the suite is starting; try again in a moment")


def _check_version(version: ApiVersion, text: str) -> None:
    if too_new(version):
        raise ApiError(400, client_too_new(text, API_VERSION))
    if too_old(version):
        raise ApiError(400, client_too_old(text, MIN_API_VERSION))


async def _go_on(request: web.BaseRequest) -> None:
    """Tell a client that waits for it to send its body (curl, above 1 MiB). It is no part of the answer's size."""
    await request.writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
    request.writer.output_size = 0


def _count(method: str, route: Route[Handler[C]] | None, status: int, took: float) -> None:
    word = method if method in _METHODS else "other"
    template = route.template if route is not None else _NO_ROUTE
    labelled(REQUESTS, word, template, str(status)).inc()
    if route is not None and not route.waits:
        labelled(SECONDS, word, template).observe(took)
    if tracing.on():
        spans.answered(word, template, status)
    if status < _BAD and (timed := AS_DOCKERD.get((method, template))) is not None:
        labelled(*timed).observe(took)
