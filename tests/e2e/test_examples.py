"""The applications of docs/examples: brought up, used, killed, scaled, changed, brought up again; their data stays."""

import json
import os
import re
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import quote

import pytest
from e2e_rig.docker_cli import DockerCli
from e2e_rig.engine import Engine
from e2e_rig.examples import PATIENCE_S, Example, make_images, remove_images
from e2e_rig.seaway import Seaway
from e2e_rig.waits import eventually

pytestmark = [pytest.mark.root, pytest.mark.timeout(300)]
Open = Callable[..., Example]


@pytest.fixture(scope="module", autouse=True)
def images(docker_cli: DockerCli) -> Iterator[None]:
    """What all applications run from."""
    make_images(docker_cli)
    yield
    remove_images(docker_cli)


@pytest.fixture
def example(cli: DockerCli, tmp_path: Path) -> Iterator[Open]:
    """Opens an application; nothing of it may be left after `down -v`."""
    opened = []

    def open_(name: str, **environment: str) -> Example:
        opened.append(Example(cli, name, tmp_path, **environment))
        return opened[-1]

    yield open_
    for one in opened:
        one.compose("down", "--volumes", "--timeout", "1")
        assert one.left() == []


def killed(engine: Engine, service: str) -> Callable[[], object]:
    """kill -9 of a service of Seaway's; gives what waits until it is back."""
    if not isinstance(engine, Seaway):
        return lambda: None
    before = int(engine.row(service)["pid"])
    os.kill(before, signal.SIGKILL)
    return lambda: (engine.restarted(service, before), eventually(engine.serves, "the API"))


# --- counter: proxy, web, Redis


def visits(counter: Example) -> int:
    return int(re.findall(r": ([0-9]+),", counter.asked())[0])


def answering(counter: Example) -> set[str]:
    """The containers that answer."""
    return {counter.asked().rpartition(" ")[2] for _ in range(20)}


def test_counter(example: Open, engine: Engine) -> None:
    counter = example("counter")
    counter.up()
    assert [visits(counter) for _ in range(3)] == [1, 2, 3]
    eventually(lambda: len(answering(counter)) == 2, "both containers", PATIENCE_S)
    counter.up("--scale", "web=4")
    eventually(lambda: len(answering(counter)) == 4, "all four containers", PATIENCE_S)

    for container in ("web-1", "proxy-1"):
        before = visits(counter)
        counter.crash(container)
        assert visits(counter) > before
    before = visits(counter)
    counter.crash("redis-1")
    assert visits(counter) > before, "it has written each visit to its volume"

    ids = counter.ids()
    counter.change("GREETING: Visits", "GREETING: Welcome")
    back = killed(engine, "api")
    counter.up_at_last()
    back()
    after = counter.ids()
    assert after["redis-1"] == ids["redis-1"] and after["web-1"] != ids["web-1"]
    assert set(after) == {"proxy-1", "redis-1", "web-1", "web-2"}
    assert counter.asked().startswith("Welcome: ")

    before = visits(counter)
    counter.compose("down", "--timeout", "1")
    counter.up()
    assert visits(counter) == before + 1


# --- notes: an application with PostgreSQL

TOKEN = {"Authorization": "Bearer change-me"}


def test_notes(example: Open, engine: Engine) -> None:
    notes = example("notes")
    notes.up()
    assert notes.fetch("/", "without a token")[0] == 403
    assert notes.asked("/", "one", **TOKEN) == "added"
    assert notes.asked().splitlines() == ["Notes", "one"]

    notes.crash("database-1")
    assert notes.asked().splitlines() == ["Notes", "one"]
    back = killed(engine, "metadata")
    assert notes.asked("/", "two", **TOKEN) == "added"
    notes.compose("kill", "app")
    notes.up_at_last()
    back()
    assert notes.asked().splitlines() == ["Notes", "one", "two"]

    database = notes.ids()["database-1"]
    notes.change("TITLE=Notes", "TITLE=Changed", "app.env")
    notes.change("change-me", "changed", ".env")
    notes.up()
    assert notes.asked().splitlines() == ["Changed", "one", "two"]
    assert notes.fetch("/", "three", **TOKEN)[0] == 403
    assert notes.ids()["database-1"] == database

    notes.compose("down", "--timeout", "5")
    assert notes.left() == ["notes_data"]
    notes.up()
    assert notes.asked().splitlines() == ["Changed", "one", "two"]


# --- queue: an API, workers, results in a volume that all share


def submit(queue: Example, *numbers: int) -> dict[str, int]:
    return {queue.asked("/", str(number)): number for number in numbers}


def workers_of(queue: Example, jobs: dict[str, int]) -> set[str]:
    """The workers that have done these jobs, once all are done."""
    primes = {10: 4, 1000: 168, 10000: 1229, 100000: 9592}
    results = {job: queue.asked(f"/{job}") for job in jobs}
    for job, number in jobs.items():
        assert results[job].startswith(f"{primes[number]} primes below {number}, ")
    return {result.rpartition(" ")[2] for result in results.values()}


def test_queue(example: Open, engine: Engine) -> None:
    queue = example("queue")
    queue.up()
    workers_of(queue, submit(queue, 10, 1000))
    eventually(lambda: len(workers_of(queue, submit(queue, *[100_000] * 6))) > 1, "two workers at work", PATIENCE_S)

    jobs = submit(queue, *[100_000] * 9)
    queue.crash("worker-1")
    queue.crash("redis-1")
    back = killed(engine, "agent")
    workers_of(queue, jobs)
    back()

    jobs = submit(queue, *[100_000] * 9)
    back = killed(engine, "nats")
    queue.up_at_last("--scale", "worker=1")
    back()
    assert sorted(queue.ids()) == ["api-1", "redis-1", "worker-1"]
    workers_of(queue, jobs)

    queue.change('cpus: "0.5"', 'cpus: "0.7"')
    queue.up()
    assert queue.inspect("worker-1", ".HostConfig.NanoCpus") == "700000000"
    assert len(queue.ids()) == 5
    queue.compose("down", "--timeout", "5")
    queue.up()
    workers_of(queue, jobs)
    queue.compose("run", "--rm", "clear")
    assert {queue.fetch(f"/{job}")[0] for job in jobs} == {404}


# --- wiki: proxy, application, PostgreSQL, jobs that run once


@pytest.fixture
def backups(cli: DockerCli, example: Open) -> Iterator[str]:
    """The volume that the wiki takes as given."""
    yield cli("volume", "create", "wiki-backups").out
    cli("volume", "rm", "wiki-backups")


def test_wiki(backups: str, cli: DockerCli, example: Open, engine: Engine) -> None:
    wiki = example("wiki")
    wiki.up()
    assert wiki.inspect("migrate-1", ".State.ExitCode") == "0"
    assert wiki.fetch("/harbour")[0] == 404
    for text in ("first", "second"):
        assert wiki.asked("/harbour", text, "PUT") == "written"
    assert wiki.asked("/harbour") == "second"

    back = killed(engine, "scheduler")
    wiki.crash("app-1")
    wiki.crash("database-1")
    back()
    assert wiki.asked("/harbour") == "second"
    back = killed(engine, "image")
    wiki.up_at_last("--scale", "app=3")
    back()
    wiki.compose("run", "--rm", "backup")
    wiki.compose("pause", "app")
    wiki.compose("unpause", "app")

    assert wiki.asked("/harbour", "spoilt", "PUT") == "written"
    wiki.compose("down", "--volumes", "--timeout", "5")
    assert cli("volume", "ls", "-q").lines == [backups]
    wiki.change("proxy_connect_timeout 1s", "proxy_connect_timeout 2s", "nginx.conf")
    wiki.up()
    assert wiki.asked() == ""
    wiki.compose("run", "--rm", "restore")
    assert wiki.asked("/harbour") == "second"


# --- monitor: Prometheus, several networks, a shared network and processes, the engine's events


def series(monitor: Example, query: str) -> dict[str, float]:
    """What a query gives, by instance."""
    found = json.loads(monitor.asked(f"/api/v1/query?query={quote(query)}"))["data"]["result"]
    return {one["metric"].get("instance", ""): float(one["value"][1]) for one in found}


def most_sold(monitor: Example) -> float:
    return max(series(monitor, "shop_sold_total").values(), default=0)


def test_monitor(cli: DockerCli, example: Open, engine: Engine) -> None:
    monitor = example("monitor", DOCKER_SOCKET=str(engine.socket))
    monitor.up()
    up = 'up{job="shop"} == 1'
    eventually(lambda: len(series(monitor, up)) == 2, "both shops", PATIENCE_S)
    eventually(lambda: series(monitor, 'process_memory_bytes{name="prometheus"} > 1e6'), "its memory", PATIENCE_S)
    eventually(lambda: series(monitor, "engine_connected == 1"), "the engine's events", PATIENCE_S)
    assert monitor.inspect("engine-1", '(index .NetworkSettings.Networks "monitor_back").IPAddress') == "10.77.0.11"

    cli("run", "--rm", "--network", "none", "busybox", "true")
    died = 'engine_events_total{action="die"}'
    eventually(lambda: series(monitor, f"{died} >= 1"), "the end of a container", PATIENCE_S)
    for service in ("api", "agent", "metadata", "scheduler", "image", "nats"):
        sold = most_sold(monitor)
        back = killed(engine, service)
        eventually(lambda sold=sold: most_sold(monitor) > sold, "news", PATIENCE_S)
        back()
    before = sum(series(monitor, died).values())
    cli("run", "--rm", "--network", "none", "busybox", "true")
    eventually(lambda: sum(series(monitor, died).values()) > before, "events after all that", PATIENCE_S)

    monitor.crash("shop-1")
    monitor.up("--scale", "shop=3")
    eventually(lambda: len(series(monitor, up)) == 3, "all shops", PATIENCE_S)
    monitor.change("scrape_interval: 500ms", "scrape_interval: 700ms")
    monitor.compose("down", "--timeout", "5")
    monitor.up()
    assert "700ms" in monitor.asked("/api/v1/status/config")
    past = "count(last_over_time(shop_sold_total[1h]))"
    eventually(lambda: max(series(monitor, past).values(), default=0) > 2, "the past", PATIENCE_S)
