"""A process's metrics: prometheus_client's process-wide registry, the event loop's lag, and the HTTP port.

Modules declare their own counters, gauges and histograms against prometheus_client's default registry.
"""

import asyncio
import contextlib
import gzip
import hmac
import logging
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Final

from aiohttp import web
from prometheus_client import REGISTRY, Histogram, disable_created_metrics
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4, generate_latest
from prometheus_client.registry import Collector, CollectorRegistry

from seaway_kit.addresses import is_loopback, join_address
from seaway_kit.health import Health
from seaway_kit.metrics_ports import split_ports
from seaway_kit.metrics_server import listening, refuse_foreign_names
from seaway_kit.series_cap import CappedSeries

log = logging.getLogger(__name__)

disable_created_metrics()  # type: ignore[no-untyped-call]  # promtool refuses gauges named *_created

DOCKERD_BUCKETS: Final = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)
"""The bounds of dockerd's histograms."""
_LAG_SAMPLE_S: Final = 0.5
LOOP_LAG: Final = Histogram(
    "seaway_event_loop_lag_seconds",
    "How much later than asked a timer of the event loop fired.",
    buckets=(0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5),
)


CONTENT_TYPE: Final = CONTENT_TYPE_PLAIN_0_0_4
_GZIP_LEVEL: Final = 1
"""The fastest: the best one makes metrics smaller by a tenth, and takes twice the time."""
Page = Callable[[web.Request], Awaitable[web.StreamResponse]]


class Metrics:
    """The metrics registry of a process, and the collectors and texts that its service has added.

    `pages`: what the service serves beside /metrics, by path (and all below it), to the same readers.
    """

    def __init__(self, registry: CollectorRegistry = REGISTRY, max_series: int = sys.maxsize) -> None:
        self.registry = registry
        self.pages: dict[str, Page] = {}
        self._added: list[Collector] = []
        self._texts: list[Callable[[], str]] = []
        self._capped = CappedSeries(registry, max_series, lambda: "".join(text() for text in self._texts))

    def add(self, collector: Collector) -> None:
        """Collect from `collector` at each scrape, until `close`."""
        self.registry.register(collector)
        self._added.append(collector)

    def add_text(self, text: Callable[[], str]) -> None:
        """Append what `text` returns to each scrape, until `close`: families that no collector has, in text format.

        For very many samples: prometheus_client takes ten times as long for them.
        """
        self._texts.append(text)

    def text(self) -> bytes:
        """All metrics in Prometheus' text format 0.0.4."""
        return generate_latest(self._capped) + self._capped.text.encode()

    async def compressed(self) -> bytes:
        """The same, compressed by gzip."""
        return await asyncio.to_thread(gzip.compress, self.text(), _GZIP_LEVEL, mtime=0)

    def close(self) -> None:
        """Remove the added collectors and texts."""
        self._texts.clear()
        while self._added:
            self.registry.unregister(self._added.pop())


async def sample_loop_lag(interval_s: float = _LAG_SAMPLE_S, lag: Histogram = LOOP_LAG) -> None:
    """Measure for ever how late the event loop's timers run."""
    loop = asyncio.get_running_loop()
    while True:
        due = loop.time() + interval_s
        await asyncio.sleep(interval_s)
        lag.observe(max(0.0, loop.time() - due))


def _application(metrics: Metrics, health: Health, token: str) -> web.Application:
    async def exposition(request: web.Request) -> web.Response:
        _check_token(request, token)
        return web.Response(body=metrics.text(), headers={"Content-Type": CONTENT_TYPE})

    async def page(request: web.Request) -> web.StreamResponse:
        _check_token(request, token)
        for path, handler in metrics.pages.items():
            if request.path == path or request.path.startswith(f"{path}/"):
                return await handler(request)
        raise web.HTTPNotFound

    async def healthz(_: web.Request) -> web.Response:
        troubles = {name: condition.detail for name, condition in health.conditions.items() if not condition.ok}
        return web.json_response({"alive": True, "troubles": troubles})

    async def readyz(_: web.Request) -> web.Response:
        report = health.report()
        return web.json_response(report, status=200 if report["ready"] else 503)

    app = web.Application()
    app.router.add_get("/metrics", exposition)
    app.router.add_get("/healthz", healthz)
    app.router.add_get("/readyz", readyz)
    app.router.add_get("/{page:.*}", page)
    return app


def _check_token(request: web.Request, token: str) -> None:
    if token and not _bears(request, token):
        raise web.HTTPUnauthorized(headers={"WWW-Authenticate": 'Bearer realm="metrics"'})


def _bears(request: web.Request, token: str) -> bool:
    scheme, _, given = request.headers.get("Authorization", "").partition(" ")
    same = hmac.compare_digest(given.strip().encode("utf-8", "surrogateescape"), token.encode())
    return same and scheme.lower() == "bearer"


@contextlib.asynccontextmanager
async def serve(address: str, metrics: Metrics, health: Health, token: str = "") -> AsyncIterator[str]:
    """Serve /metrics, /healthz and /readyz at `address` (port 0: any free one); yields the base URL.

    With a range of ports it takes the first one that is free. With a `token`, /metrics is for those who send it as a
    bearer token (RFC 6750). Raises OSError if the address can't be had.
    """
    app = _application(metrics, health, token)
    if not token and is_loopback(split_ports(address)[0]):
        app.middlewares.append(refuse_foreign_names)
    async with listening(app, address) as bound:
        yield f"http://{join_address(_reachable(bound[0]), bound[1])}"


def _reachable(host: str) -> str:
    """The address to connect to: the loopback for one that means all."""
    return {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)
