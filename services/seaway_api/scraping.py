"""The metrics of the whole cluster at the API's metrics port: a list of targets for Prometheus, and each one's metrics.

The API reads those of other processes over the bus. So a Prometheus that reaches the API alone sees agents behind NAT,
and services that listen on loopback.
"""

import asyncio
import base64
import time
import zlib
from collections.abc import Callable, Mapping
from typing import Final

from aiohttp import web

from seaway_api.cache.nodes import KnownNodes
from seaway_bus.bus import Bus
from seaway_bus.transport import TransportError
from seaway_contracts.base import Empty
from seaway_contracts.catalogue import READ_METRICS
from seaway_contracts.channels import Role
from seaway_contracts.errors import SeawayError
from seaway_contracts.ids import check_node
from seaway_kit.metrics import CONTENT_TYPE, Metrics, Page
from seaway_kit.tasks import Tasks

TARGETS: Final = "/sd"
METRICS_OF: Final = "/metrics/of"
PATIENCE_S: Final = 5.0
_ANSWER_S: Final = 1.0
"""So long before a scraper's time-out a process must have answered: the bus waits half a second beyond its limit."""
_COPIES_S: Final = 0.5
_FIRST_TIMES: Final = 6
"""So much longer are the copies waited for at first: a list without one that is slow looks as if it were gone."""
_REMEMBERED_S: Final = 86_400.0
_MOST_BYTES: Final = 64 << 20
_SERVICES: Final = tuple(service for service in READ_METRICS if service != Role.AGENT)


class Copies:
    """The copies of services that have answered within the last day.

    One that has died stays a target for so long, so that Prometheus reports it as down.
    """

    def __init__(self, now: Callable[[], float] = time.monotonic) -> None:
        self._now = now
        self._seen: dict[tuple[str, str], float] = {}

    def saw(self, service: str, node: str) -> None:
        """Note that the copy of a service on the machine of this node is there."""
        self._seen[service, node] = self._now()

    @property
    def known(self) -> list[tuple[str, str]]:
        """Service and node of each."""
        oldest = self._now() - _REMEMBERED_S
        self._seen = {copy: at for copy, at in self._seen.items() if at >= oldest}
        return sorted(self._seen)


class Scraping:
    """What the API serves beside its own /metrics. `begun`: whether the API has joined the bus."""

    def __init__(
        self, bus: Bus, nodes: KnownNodes, tasks: Tasks, own: Metrics, node: str, *, copies_s: float = _COPIES_S
    ) -> None:
        self.begun = False
        self._bus = bus
        self._nodes = nodes
        self._tasks = tasks
        self._own = own
        self._node = node
        self._copies = Copies()
        self._copies_s = copies_s
        self._first_times = _FIRST_TIMES

    @property
    def pages(self) -> Mapping[str, Page]:
        """The handlers, by path."""
        return {TARGETS: self.targets, METRICS_OF: self.metrics_of}

    async def targets(self, request: web.Request) -> web.Response:
        """All processes of the cluster, as Prometheus' http_sd_configs reads them. Each is reached at this address."""
        if not self.begun:
            return _unavailable("the API is starting; it has not joined the bus yet")
        await self._nodes.refresh(self._bus, self._tasks)
        if not self._nodes.is_read:  # Prometheus keeps the list that it has
            return _unavailable("the list of nodes can't be read: the metadata service doesn't answer")
        try:
            await self._find_copies()
        except TransportError as error:
            return _unavailable(f"services can't be listed: {error}")
        agents = [(Role.AGENT.value, node) for node in self._nodes.names]
        return web.json_response([_target(request.host, *one) for one in (*self._copies.known, *agents)])

    async def _find_copies(self) -> None:
        self._copies.saw(Role.API.value, self._node)
        times, self._first_times = self._first_times, 1
        for service, node in await self._bus.copies(self._copies_s * times):
            if service in _SERVICES:
                self._copies.saw(service, node)

    async def metrics_of(self, request: web.Request) -> web.Response:
        """The metrics of one process; 503 with the reason if it doesn't answer: to Prometheus it is down then."""
        service, _, node = request.path.removeprefix(f"{METRICS_OF}/").partition("/")
        if service not in READ_METRICS or not _is_node(node):
            return web.Response(status=404, text="write /metrics/of/SERVICE/NODE; /sd lists them\n")
        if (service, node) == (Role.API.value, self._node):
            return await _answer(request, await self._own.compressed())
        try:
            reply = await self._bus.call(READ_METRICS[service], Empty(), node=node, timeout_s=_patience(request))
            return await _answer(request, base64.b64decode(reply.gzip, validate=True))
        except SeawayError as error:
            return _unavailable(error.message)
        except (ValueError, zlib.error):
            return _unavailable(f"the metrics of {service} on {node} can't be read: they are no gzip, or too long")


def _target(address: str, service: str, node: str) -> dict[str, object]:
    labels = {
        "__metrics_path__": f"{METRICS_OF}/{service}/{node}",
        "instance": f"{service}/{node}",
        "service": service,
        "node": node,
    }
    return {"targets": [address], "labels": labels}


def _is_node(name: str) -> bool:
    try:
        check_node(name)
    except ValueError:
        return False
    return True


def _patience(request: web.Request) -> float:
    """How long to wait for a process: at most five seconds, and less if the scraper doesn't wait so long."""
    try:
        given = float(request.headers["X-Prometheus-Scrape-Timeout-Seconds"])
    except (KeyError, ValueError):
        return PATIENCE_S
    if not given > 0:
        return PATIENCE_S
    return min(PATIENCE_S, max(given - _ANSWER_S, given / 2))


async def _answer(request: web.Request, data: bytes) -> web.Response:
    """The compressed metrics, as they are for a reader that takes them so. Raises zlib.error, ValueError."""
    headers = {"Content-Type": CONTENT_TYPE}
    if "gzip" in request.headers.get("Accept-Encoding", ""):
        return web.Response(body=data, headers=headers | {"Content-Encoding": "gzip"})
    return web.Response(body=await asyncio.to_thread(_unpacked, data), headers=headers)


def _unpacked(data: bytes) -> bytes:
    unpacker = zlib.decompressobj(wbits=zlib.MAX_WBITS | 16)
    text = unpacker.decompress(data, _MOST_BYTES)
    if not unpacker.eof:
        raise ValueError("more than may be")
    return text


def _unavailable(reason: str) -> web.Response:
    return web.Response(status=503, text=f"{reason}\n")
