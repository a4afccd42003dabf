"""The metrics of the whole cluster at the API's port: targets for Prometheus, and what each target answers."""

import asyncio
import base64
import gzip
import json
from collections.abc import AsyncIterator

import aiohttp
import pytest
from prometheus_client import CollectorRegistry, Gauge

from seaway_api import scraping as module
from seaway_api.cache.nodes import KnownNodes
from seaway_api.scraping import Copies, Scraping
from seaway_bus.bus import Bus, Command
from seaway_contracts.base import Empty
from seaway_contracts.catalogue import LIST_NODES, READ_METRICS
from seaway_contracts.metrics import MetricsText
from seaway_contracts.nodes import NodeList
from seaway_kit import metrics
from seaway_kit.health import Health
from seaway_kit.metrics import Metrics
from seaway_kit.tasks import Tasks
from seaway_testing.builders import node_record
from seaway_testing.fake_transport import FakeServer, FakeTransport

TEXT = b"# TYPE a gauge\na 1.0\n"


class Rig:
    """The API's metrics port on the machine `m1`, metadata on `m2`, and the node `n1`; `n2` is down."""

    def __init__(self, server: FakeServer) -> None:
        self.server = server
        self.bus, self.suite = Bus(FakeTransport(server)), Bus(FakeTransport(server))
        self.own = Metrics(CollectorRegistry())
        Gauge("of_the_api", "Of the API.", registry=self.own.registry)
        nodes = KnownNodes(self.bus.down_nodes, is_local=lambda _: True)
        self.tasks = Tasks("test")
        self.scraping = Scraping(self.bus, nodes, self.tasks, self.own, "m1", copies_s=0.01)
        self.scraping.begun = True
        self.own.pages.update(self.scraping.pages)
        self.answer = base64.b64encode(gzip.compress(TEXT)).decode()
        self.url = ""

    async def serve(self) -> None:
        async def nodes(_: Empty, __: Command) -> NodeList:
            return NodeList(nodes=(node_record("n1"), node_record("n2", up=False)))

        async def read(_: Empty, __: Command) -> MetricsText:
            return MetricsText(gzip=self.answer)

        await self.suite.serve(LIST_NODES, nodes)
        await self.suite.serve(READ_METRICS["metadata"], read, node="m2")
        await self.suite.serve(READ_METRICS["agent"], read, node="n1")
        await self.suite.announce("metadata", "0", "m2")

    async def get(self, path: str, **headers: str) -> tuple[int, str]:
        address = f"{self.url}{path}"
        async with aiohttp.ClientSession() as client, client.get(address, headers=headers) as reply:
            return reply.status, await reply.text()

    async def targets(self) -> dict[str, dict[str, object]]:
        """By instance."""
        status, text = await self.get("/sd")
        assert status == 200, text
        return {target["labels"]["instance"]: target for target in json.loads(text)}


@pytest.fixture
async def rig(fake_server: FakeServer) -> AsyncIterator[Rig]:
    made = Rig(fake_server)
    await made.suite.prepare()
    await made.serve()
    async with metrics.serve("127.0.0.1:0", made.own, Health()) as made.url:
        yield made
    await made.tasks.close()
    await made.bus.close()
    await made.suite.close()


async def test_all_processes_are_targets_at_the_address_that_was_asked(rig: Rig) -> None:
    found = await rig.targets()
    assert set(found) == {"api/m1", "metadata/m2", "agent/n1", "agent/n2"}
    address = rig.url.removeprefix("http://")
    assert {tuple(target["targets"]) for target in found.values()} == {(address,)}  # type: ignore[arg-type]
    assert found["agent/n1"]["labels"] == {
        "__metrics_path__": "/metrics/of/agent/n1",
        "instance": "agent/n1",
        "service": "agent",
        "node": "n1",
    }
    status, text = await rig.get("/sd", Host="192.0.2.1:80")
    assert (status, {target["targets"][0] for target in json.loads(text)}) == (200, {"192.0.2.1:80"})


async def test_a_copy_that_died_stays_a_target(rig: Rig) -> None:
    assert "metadata/m2" in await rig.targets()
    await rig.suite.close()
    assert "metadata/m2" in await rig.targets()
    status, text = await rig.get("/metrics/of/metadata/m2")
    assert (status, text) == (503, "the metadata service is not there just now; try again when it is back\n")


def test_copies_are_forgotten_after_a_day() -> None:
    now = [0.0]
    copies = Copies(lambda: now[0])
    copies.saw("image", "m1")
    now[0] = 80_000
    copies.saw("metadata", "m2")
    assert copies.known == [("image", "m1"), ("metadata", "m2")]
    now[0] = 86_401
    assert copies.known == [("metadata", "m2")]


@pytest.mark.parametrize("encoding", ["gzip", "identity"])
async def test_metrics_of_another_process(rig: Rig, encoding: str) -> None:
    for path in ("/metrics/of/agent/n1", "/metrics/of/metadata/m2"):
        assert await rig.get(path, **{"Accept-Encoding": encoding}) == (200, TEXT.decode())


async def test_its_own_metrics_need_no_bus(rig: Rig) -> None:
    await rig.targets()
    await rig.bus.close()
    status, text = await rig.get("/metrics/of/api/m1")
    assert status == 200 and "of_the_api 0.0" in text
    status, text = await rig.get("/sd")
    assert status == 503 and text.startswith("services can't be listed: ")


async def test_there_is_no_list_before_metadata_has_answered(rig: Rig) -> None:
    """A list without agents would have Prometheus forget them."""
    await rig.suite.close()
    status, text = await rig.get("/sd")
    assert status == 503 and text.startswith("the list of nodes can't be read")


async def test_a_node_that_is_down_says_so(rig: Rig) -> None:
    await rig.targets()
    status, text = await rig.get("/metrics/of/agent/n2")
    assert status == 503 and "n2" in text


async def test_patience_ends_before_the_scrapers(rig: Rig) -> None:
    async def silent(_: Empty, __: Command) -> MetricsText:
        await asyncio.Event().wait()
        raise AssertionError

    await rig.suite.serve(READ_METRICS["image"], silent, node="m1")
    header = {"X-Prometheus-Scrape-Timeout-Seconds": "0.6"}
    status, text = await rig.get("/metrics/of/image/m1", **header)
    assert status == 503 and text.startswith("the image service did not answer metrics.read in time")


@pytest.mark.parametrize("answer", ["", "%", base64.b64encode(b"text").decode()])
async def test_what_is_no_gzip(rig: Rig, answer: str) -> None:
    rig.answer = answer
    status, text = await rig.get("/metrics/of/agent/n1", **{"Accept-Encoding": "identity"})
    assert (status, text) == (503, "the metrics of agent on n1 can't be read: they are no gzip, or too long\n")


async def test_more_than_a_reader_should_get(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_MOST_BYTES", len(TEXT) - 1)
    assert (await rig.get("/metrics/of/agent/n1", **{"Accept-Encoding": "identity"}))[0] == 503


async def test_more_than_the_bus_takes(rig: Rig) -> None:
    rig.answer = "x" * rig.server.max_payload
    status, text = await rig.get("/metrics/of/agent/n1")
    assert status == 503 and "is too large for the bus" in text


@pytest.mark.parametrize("path", ["", "/", "/agent", "/agent/", "/agent/n1/x", "/agent/a.b", "/nats/n1", "/agent/*"])
async def test_what_is_no_process(rig: Rig, path: str) -> None:
    assert await rig.get(f"/metrics/of{path}") == (404, "write /metrics/of/SERVICE/NODE; /sd lists them\n")


async def test_before_the_bus_is_joined(rig: Rig) -> None:
    rig.scraping.begun = False
    assert await rig.get("/sd") == (503, "the API is starting; it has not joined the bus yet\n")
