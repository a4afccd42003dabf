import asyncio
import contextlib
import gzip
import shutil
import subprocess
import sys
from collections.abc import Iterator

import aiohttp
import pytest
from aiohttp import web
from prometheus_client import CollectorRegistry, Gauge, Histogram
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from seaway_kit import metrics, metrics_server
from seaway_kit.health import Health
from seaway_kit.metrics import Metrics
from seaway_testing.waiting import GUARD_S


class Answer(Collector):
    def collect(self) -> Iterator[Metric]:
        yield GaugeMetricFamily("seaway_answer", "The answer.", value=42)


def test_added_collectors_are_asked_until_the_end() -> None:
    own = Metrics(CollectorRegistry())
    own.add(Answer())
    assert b"seaway_answer 42.0" in own.text()
    own.close()
    assert b"seaway_answer" not in own.text()


async def test_compressed() -> None:
    own = Metrics(CollectorRegistry())
    own.add(Answer())
    assert gzip.decompress(await own.compressed()) == own.text()


def test_at_most_so_many_series() -> None:
    own = Metrics(CollectorRegistry(), max_series=1)
    own.add(Answer())
    Gauge("seaway_other", "Other.", registry=own.registry)
    assert b"seaway_other 0" not in own.text() and b"seaway_metrics_left_out_series 1.0" in own.text()


async def test_http_port() -> None:
    own, health = Metrics(CollectorRegistry()), Health()
    own.add(Answer())
    health.set("disk", False, "full")
    async with metrics.serve("127.0.0.1:0", own, health) as url, aiohttp.ClientSession() as client:
        async with client.get(f"{url}/metrics") as reply:
            assert reply.status == 200
            assert reply.headers["Content-Type"].startswith("text/plain; version=0.0.4")
            assert "seaway_answer 42.0" in await reply.text()
        async with client.get(f"{url}/healthz") as reply:
            assert reply.status == 200
        async with client.get(f"{url}/readyz") as reply:
            assert (reply.status, (await reply.json())["conditions"]["disk"]["detail"]) == (503, "full")
        health.set("disk", True)
        async with client.get(f"{url}/readyz") as reply:
            assert reply.status == 200


@pytest.mark.parametrize(
    ("given", "status"),
    [
        (None, 401),
        ("", 401),
        ("Bearer", 401),
        ("Bearer wrong", 401),
        ("Bearer secrets", 401),
        ("Bearer sëcret", 401),
        ("Basic secret", 401),
        ("secret", 401),
        ("Bearer secret", 200),
        ("bearer  secret ", 200),
    ],
)
async def test_a_token_closes_metrics_to_others(given: str | None, status: int) -> None:
    own = Metrics(CollectorRegistry())
    own.add(Answer())
    headers = {} if given is None else {"Authorization": given}
    async with metrics.serve("127.0.0.1:0", own, Health(), "secret") as url, aiohttp.ClientSession() as client:
        async with client.get(f"{url}/metrics", headers=headers) as reply:
            assert reply.status == status
            assert ("seaway_answer" in await reply.text()) == (status == 200)
            assert reply.headers.get("WWW-Authenticate") == ('Bearer realm="metrics"' if status == 401 else None)
        async with client.get(f"{url}/healthz") as reply:
            assert reply.status == 200


@pytest.mark.both_loops
async def test_taken_port_is_an_error() -> None:
    own, health = Metrics(CollectorRegistry()), Health()
    async with metrics.serve("127.0.0.1:0", own, health) as url:
        address = url.removeprefix("http://")
        for wanted in (address, f"{address}-{address.rpartition(':')[2]}"):
            with pytest.raises(OSError, match=f"{wanted} for its metrics is taken: give another address by --metrics"):
                async with metrics.serve(wanted, own, health):
                    pass


@pytest.mark.both_loops
async def test_the_first_free_port_of_a_range(caplog: pytest.LogCaptureFixture) -> None:
    own, health = Metrics(CollectorRegistry()), Health()
    async with metrics.serve("127.0.0.1:0", own, health) as url:
        first = int(url.rpartition(":")[2])
        async with metrics.serve(f"127.0.0.1:{first}-65535", own, health) as other, aiohttp.ClientSession() as client:
            second = int(other.rpartition(":")[2])
            assert second > first
            assert f"port {first} is taken; metrics are at port {second}" in caplog.messages
            async with client.get(f"{other}/metrics") as reply:
                assert reply.status == 200


async def test_pages_of_a_service_are_for_the_same_readers() -> None:
    async def page(request: web.Request) -> web.Response:
        return web.Response(text=request.path)

    own = Metrics(CollectorRegistry())
    own.pages["/metrics/of"] = page
    ours = {"Authorization": "Bearer secret"}
    async with metrics.serve("127.0.0.1:0", own, Health(), "secret") as url, aiohttp.ClientSession() as client:
        for path, headers, status in (
            ("/metrics/of/a/b", ours, 200),
            ("/metrics/of", ours, 200),
            ("/metrics/of/a/b", {}, 401),
            ("/metrics/often", ours, 404),
            ("/other", ours, 404),
        ):
            async with client.get(f"{url}{path}", headers=headers) as reply:
                assert reply.status == status
                assert status != 200 or await reply.text() == path


async def test_loop_lag_is_sampled() -> None:
    registry = CollectorRegistry()
    lag = Histogram("lag", "Lag.", registry=registry)
    task = asyncio.create_task(metrics.sample_loop_lag(0.001, lag))
    async with asyncio.timeout(GUARD_S):
        while not registry.get_sample_value("lag_count"):  # noqa: ASYNC110
            await asyncio.sleep(0.001)
    task.cancel()
    assert (registry.get_sample_value("lag_sum") or 0) >= 0


@pytest.mark.skipif(shutil.which("promtool") is None, reason="promtool is not installed")
def test_promtool_is_content_with_the_process_wide_metrics() -> None:
    """Of a process of its own: in this one other tests may have imported services, whose names are Docker's."""
    script = "import sys; from seaway_kit.metrics import Metrics; sys.stdout.buffer.write(Metrics().text())"
    text = subprocess.run([sys.executable, "-c", script], capture_output=True, timeout=30, check=True).stdout
    checked = subprocess.run(["promtool", "check", "metrics"], input=text, capture_output=True, timeout=30)
    assert (checked.returncode, checked.stdout, checked.stderr) == (0, b"", b"")


def test_added_texts_follow_the_registry_until_the_end() -> None:
    registry = CollectorRegistry()
    own, made = Metrics(registry), Gauge("made", "Texts made.", registry=registry)

    def text() -> str:
        made.inc()
        return "# HELP b Bs.\n# TYPE b gauge\nb 1\n"

    own.add_text(text)
    shown = own.text().decode()
    assert shown.endswith("\n# HELP b Bs.\n# TYPE b gauge\nb 1\n") and "\nmade 1.0\n" in shown
    own.close()
    assert "# HELP b" not in own.text().decode()


async def test_idle_clients_are_bounded_and_sent_away(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(metrics_server, "LIFE_S", 0.3)
    own = Metrics(CollectorRegistry())
    async with metrics.serve("127.0.0.1:0", own, Health()) as url:
        port = int(url.rpartition(":")[2])
        idle = [await asyncio.open_connection("127.0.0.1", port) for _ in range(metrics_server.MOST_CONNECTIONS)]
        beyond, writer = await asyncio.open_connection("127.0.0.1", port)
        assert await asyncio.wait_for(beyond.read(), GUARD_S) == b""
        writer.close()
        for reader, writer in idle:
            with contextlib.suppress(ConnectionResetError):
                assert await asyncio.wait_for(reader.read(), GUARD_S) == b""
            writer.close()
        async with aiohttp.ClientSession() as client, client.get(f"{url}/metrics") as reply:
            assert reply.status == 200


@pytest.mark.parametrize(
    ("host", "token", "status"), [("evil.example", "", 403), ("evil.example", "t", 200), ("localhost:1", "", 200)]
)
async def test_names_that_others_own_are_refused(host: str, token: str, status: int) -> None:
    """A page in a browser may have its own name point here."""
    headers = {"Host": host, "Authorization": "Bearer t"}
    own = Metrics(CollectorRegistry())
    async with (
        metrics.serve("127.0.0.1:0", own, Health(), token) as url,
        aiohttp.ClientSession() as client,
        client.get(f"{url}/metrics", headers=headers) as reply,
    ):
        assert reply.status == status
