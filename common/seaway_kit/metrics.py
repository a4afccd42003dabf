"""A process's metrics: prometheus_client's process-wide registry, the event loop's lag, and the HTTP port.

Modules declare their own counters, gauges and histograms against prometheus_client's default registry.
"""

import asyncio
import contextlib
import hmac
from collections.abc import AsyncIterator, Callable
from typing import Final

from aiohttp import web
from prometheus_client import REGISTRY, Histogram, disable_created_metrics
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4, generate_latest
from prometheus_client.registry import Collector, CollectorRegistry

from seaway_kit.addresses import join_address, split_address
from seaway_kit.health import Health

disable_created_metrics()  # type: ignore[no-untyped-call]  # promtool refuses gauges named *_created

DOCKERD_BUCKETS: Final = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)
"""The bounds of dockerd's histograms."""
_LAG_SAMPLE_S: Final = 0.5
LOOP_LAG: Final = Histogram(
    "seaway_event_loop_lag_seconds",
    "How much later than asked a timer of the event loop fired.",
    buckets=(0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5),
)


class Metrics:
    """The metrics registry of a process, and the collectors and texts that its service has added."""

    def __init__(self, registry: CollectorRegistry = REGISTRY) -> None:
        self.registry = registry
        self._added: list[Collector] = []
        self._texts: list[Callable[[], str]] = []

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
        texts = "".join(text() for text in self._texts)  # first, as collectors may count what was left out of them
        return generate_latest(self.registry) + texts.encode()

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
        if token and not _bears(request, token):
            raise web.HTTPUnauthorized(headers={"WWW-Authenticate": 'Bearer realm="metrics"'})
        return web.Response(body=metrics.text(), headers={"Content-Type": CONTENT_TYPE_PLAIN_0_0_4})

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
    return app


def _bears(request: web.Request, token: str) -> bool:
    scheme, _, given = request.headers.get("Authorization", "").partition(" ")
    same = hmac.compare_digest(given.strip().encode("utf-8", "surrogateescape"), token.encode())
    return same and scheme.lower() == "bearer"


@contextlib.asynccontextmanager
async def serve(address: str, metrics: Metrics, health: Health, token: str = "") -> AsyncIterator[str]:
    """Serve /metrics, /healthz and /readyz at `address` (port 0: any free one); yields the base URL.

    With a `token`, /metrics is for those who send it as a bearer token (RFC 6750). Raises OSError if the address can't
    be had.
    """
    host, port = split_address(address)
    runner = web.AppRunner(
        _application(metrics, health, token), access_log=None, handle_signals=False, shutdown_timeout=1.0
    )
    await runner.setup()
    try:
        await web.TCPSite(runner, host, port).start()
        bound = runner.addresses[0]
        yield f"http://{join_address(_reachable(bound[0]), bound[1])}"
    finally:
        await runner.cleanup()


def _reachable(host: str) -> str:
    """The address to connect to: the loopback for one that means all."""
    return {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)
