"""Measures Seaway beside Docker's daemon and podman, in turn and in one run, and holds the ratios against the targets.

Only ratios tell something: absolute times are this machine's. The results go, one JSON object a line, to --results.
"""

import argparse
import asyncio
import contextlib
import json
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

import uvloop

HERE = Path(__file__).parent
sys.path[:0] = [str(HERE), str(HERE.parent / "e2e")]

import builds  # noqa: E402
import measure  # noqa: E402
import names  # noqa: E402
import networks  # noqa: E402
import registries  # noqa: E402
import scrapes  # noqa: E402
import standing  # noqa: E402
import stats  # noqa: E402
import streams  # noqa: E402
import subscribers  # noqa: E402
from client import Client  # noqa: E402
from e2e_rig import images  # noqa: E402
from e2e_rig.dockerd import Dockerd  # noqa: E402
from e2e_rig.engine import Engine  # noqa: E402
from e2e_rig.seaway import Seaway  # noqa: E402
from e2e_rig.world import World  # noqa: E402
from engines import Podman  # noqa: E402

import compose  # noqa: E402

LIFECYCLES = (("bridge", 1, 1 / 7), ("none", 1, 1 / 6), ("bridge", 8, 1 / 6), ("none", 8, 1 / 6))
EXECS = ((1, 1 / 4), (4, 1 / 3.2))
EVENT_TARGET = 1 / 5
HEARD_P50_MS, HEARD_P99_MS, REPLAY_TARGET_S = 5.0, 50.0, 15.0
STATS_TARGET = 1 / 10
STATS_CONTAINERS = 50
STATS_S = 8.0
SCRAPED, SCRAPE_TARGET_MS, WATCHED_TARGET_MS = 100, 20.0, 30.0
IDLE, IDLE_TARGET = 50, 1 / 5
LISTED, LIST_TARGET, INSPECT_TARGET = 1000, 1 / 5, 2.0
DNS_TARGET = 1.0
START_TARGET_MS, PORTS_TARGET, NETWORK_TARGET, TRAFFIC_TARGET = 3.0, 1.5, 1 / 3, 1.0
COMPOSE_TARGETS = {
    "up, 10 services": 1 / 4,
    "down, 10 services": 1 / 4,
    "up, 100 services": 1 / 5,
    "down, 100 services": 1 / 8,
}
VOLUME_TARGET = 1 / 3
PUSH_TARGET, TAGS_TARGET, IMAGE_TARGET_MB = 1 / 2, 1 / 2, 150.0
BUILD_TARGET, CACHED_TARGET_MS = 1.0, 1000.0
READY_TARGET_S = 2.0
PSS_TARGET_MB = 200.0


@dataclass(frozen=True)
class Row:
    """One result. `value` in `unit`; `bound`: what it should be below; `samples` are all that were taken."""

    metric: str
    value: float
    unit: str
    bound: float
    samples: dict[str, list[float]]

    @property
    def is_good(self) -> bool:
        """Whether the target is met."""
        return self.value <= self.bound


def arguments() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(prog="tests/bench/run", description=__doc__)
    parser.add_argument("--rounds", type=int, default=3, help="how often the engines take turns [3]")
    parser.add_argument("--count", type=int, default=12, help="containers per engine and round [12]")
    has_podman = shutil.which("podman") is not None
    which = argparse.BooleanOptionalAction
    parser.add_argument("--podman", action=which, default=has_podman, help="its lifecycles too")
    parts = (
        "lifecycle",
        "exec",
        "events",
        "streams",
        "subscribers",
        "stats",
        "metrics",
        "standing",
        "networks",
        "dns",
        "compose",
        "volumes",
        "images",
        "builds",
        "suite",
    )
    parser.add_argument("--only", choices=parts, help="just this part")
    parser.add_argument("--results", type=Path, default=Path(tempfile.gettempdir(), "seaway-bench.jsonl"))
    return parser.parse_args()


@contextlib.contextmanager
def place() -> Iterator[Path]:
    """A directory with a short name, in a small world of its own."""
    world = World()
    path = Path(tempfile.mkdtemp(prefix="bench-"))
    try:
        with world.inside():
            yield path
    finally:
        world.close()
        shutil.rmtree(path, ignore_errors=True)


@contextlib.contextmanager
def running(engines: dict[str, Engine]) -> Iterator[dict[str, Client]]:
    """The engines, started and with the image."""
    try:
        for engine in engines.values():
            engine.start()
            archive = images.busybox_archive()
            reply = engine.api.request("POST", "/images/load?quiet=1", archive, {"Content-Type": "application/x-tar"})
            assert reply.status == 200, reply
        yield {name: Client(str(engine.socket)) for name, engine in engines.items()}
    finally:
        for engine in engines.values():
            engine.purge()


def suite_rows(directory: Path, rounds: int) -> list[Row]:
    """How soon a fresh suite is ready, and what it weighs when it is idle."""
    ready, weight = [], []
    for number in range(rounds):
        suite = Seaway(directory / f"fresh{number}")
        began = time.perf_counter()
        suite.start()
        ready.append(time.perf_counter() - began)
        asyncio.run(measure.quiet())
        weight.append(measure.pss_mb([suite.supervisor_pid, *suite.processes().values()]))
        suite.purge()
    return [
        Row("suite ready", measure.median(ready), "s", READY_TARGET_S, {"seaway": ready}),
        Row("empty suite, NATS included (PSS)", measure.median(weight), "MB", PSS_TARGET_MB, {"seaway": weight}),
    ]


async def lifecycle_rows(clients: dict[str, Client], rounds: int, count: int) -> list[Row]:
    """create + start + wait + remove, as shares of Docker's time."""
    rows = []
    for network, at_once, bound in LIFECYCLES:
        samples = await measure.lifecycle(clients, network, at_once, rounds, max(count, 3 * at_once))
        rows.append(_ratio(f"create+start+wait+remove, {network}, {at_once} at once", samples, bound))
    return rows


async def engine_rows(
    engines: dict[str, Engine], clients: dict[str, Client], directory: Path, given: argparse.Namespace
) -> list[Row]:
    """All that is measured on engines side by side. Podman takes part in lifecycle, exec and events."""
    rows = []
    two = {name: client for name, client in clients.items() if name != "podman"}
    if given.only in (None, "streams"):
        rows += await stream_rows(two, directory, given.rounds)
    if given.only in (None, "lifecycle"):
        rows += await lifecycle_rows(clients, given.rounds, given.count)
    if given.only in (None, "exec"):
        rows += await exec_rows(clients, given.rounds, given.count)
    if given.only in (None, "events"):
        rows += await event_rows(clients, directory, given.rounds, given.count)
    if given.only in (None, "subscribers"):
        rows += await subscriber_rows(engines, clients, directory)
    if given.only in (None, "stats"):
        rows.append(await stats_row(engines, two, given.rounds))
    if given.only in (None, "metrics"):
        rows += await metrics_rows(engines, two)
    if given.only in (None, "standing"):
        rows += await standing_rows(engines, two)
    if given.only in (None, "dns"):
        rows += await dns_rows(two, directory, given.rounds)
    if given.only in (None, "networks"):
        rows += await network_rows(two, given.rounds, given.count)
    if given.only in (None, "compose"):
        found = await compose.projects(two, directory, given.rounds)
        rows += [_ratio(f"compose {part}", found[part], bound) for part, bound in COMPOSE_TARGETS.items()]
    if given.only in (None, "images"):
        rows += await image_rows(engines, two, directory, given.rounds)
    if given.only in (None, "builds"):
        rows += await build_rows(two, given.rounds)
    if given.only in (None, "volumes"):
        made = await compose.volumes(two, given.rounds, given.count)
        rows.append(_ratio("volume made, mounted, removed", made, VOLUME_TARGET))
    return rows


async def stream_rows(clients: dict[str, Client], directory: Path, rounds: int) -> list[Row]:
    """Output and input, as shares of Docker's time for as many bytes."""
    programs = directory / "programs"
    programs.mkdir()
    for name in ("liner", "echoer"):
        words = ["gcc", "-O2", "-static", "-o", str(programs / name), str(HERE / "c" / f"{name}.c")]
        await asyncio.to_thread(subprocess.run, words, check=True)
    found = await streams.flows(clients, programs, rounds)
    return [_ratio(f"{flow} (ms/MB)", found[flow], bound) for flow, bound in streams.TARGETS.items()]


async def exec_rows(clients: dict[str, Client], rounds: int, count: int) -> list[Row]:
    """exec create + start + exit + inspect, as shares of Docker's time."""
    rows = []
    for at_once, bound in EXECS:
        samples = await measure.execs(clients, at_once, rounds, max(count, 10 * at_once))
        rows.append(_ratio(f"exec of true, {at_once} at once", samples, bound))
    return rows


def exit_stamp(directory: Path) -> Path:
    """The program that writes down when it ends."""
    stamp = directory / "exitstamp"
    if not stamp.exists():
        subprocess.run(["gcc", "-O2", "-static", "-o", str(stamp), str(HERE / "c" / "exitstamp.c")], check=True)
    return stamp


async def event_rows(clients: dict[str, Client], directory: Path, rounds: int, count: int) -> list[Row]:
    """From a process' exit to the event."""
    out = directory / "out"
    out.mkdir()
    samples = await measure.exit_to_event(clients, exit_stamp(directory), out, rounds, count)
    return [_ratio("exit to event", samples, EVENT_TARGET)]


async def subscriber_rows(engines: dict[str, Engine], clients: dict[str, Client], directory: Path) -> list[Row]:
    """Events at plain nats-py programs: absolute, as nobody else has such."""
    suite, client, stamp = engines["seaway"], clients["seaway"], exit_stamp(directory)
    assert isinstance(suite, Seaway)
    rows = []
    for churn, about in ((False, "16 ends/s"), (True, "16 lives/s")):
        out = directory / f"heard-{churn}"
        heard = sorted(await subscribers.exits_ms(suite, client, stamp, out, churn=churn))
        p99, lost = heard[len(heard) * 99 // 100], subscribers.ENDS - len(heard)
        rows += [
            Row(f"exit to a callback, {about}, p50", measure.median(heard), "ms", HEARD_P50_MS, {"seaway": heard}),
            Row(f"exit to a callback, {about}, p99", p99, "ms", HEARD_P99_MS, {"seaway": heard}),
            Row(f"exits not heard, {about}", lost, "", 0, {"seaway": [lost]}),
        ]
    missing = await subscribers.missing(suite, out)
    replayed = await subscribers.replay_s(suite, out)
    many = f"{subscribers.SUBSCRIBERS} subscribers at {subscribers.EVENTS_A_SECOND} events/s"
    return [
        *rows,
        Row(f"{many}: not got", missing, "", 0, {"seaway": [missing]}),
        Row(f"{subscribers.REPLAYED} events replayed", replayed, "s", REPLAY_TARGET_S, {"seaway": [replayed]}),
    ]


async def stats_row(engines: dict[str, Engine], clients: dict[str, Client], rounds: int) -> Row:
    """CPU for the stats of many containers, streamed."""
    samples: dict[str, list[float]] = {name: [] for name in clients}
    for _ in range(rounds):
        for name, client in clients.items():
            samples[name].append(await stats.streaming(engines[name], client, STATS_CONTAINERS, STATS_S))
    return _ratio(f"CPU of streaming {STATS_CONTAINERS} stats (ms/s)", samples, STATS_TARGET)


async def metrics_rows(engines: dict[str, Engine], clients: dict[str, Client]) -> list[Row]:
    """CPU for the metrics of many containers: absolute, as Docker has no metrics of containers, but single samples."""
    samples: dict[str, list[float]] = {}
    idle = 0.0
    for name, client in clients.items():
        engine = engines[name]
        async with scrapes.standing(client, SCRAPED) as containers:
            samples[name] = await scrapes.once_ms(engine, client, containers)
            if isinstance(engine, Seaway):
                idle = await scrapes.idle_ms(engine)
    scrape = f"CPU of reading {SCRAPED} containers once"
    watched = f"CPU of {SCRAPED} idle containers, scraped every 15 s"
    return [
        Row(scrape, measure.median(samples["seaway"]), "ms", SCRAPE_TARGET_MS, samples),
        Row(watched, idle, "ms/s", WATCHED_TARGET_MS, {"seaway": [idle]}),
    ]


async def standing_rows(engines: dict[str, Engine], clients: dict[str, Client]) -> list[Row]:
    """Memory, list and inspect of containers that only stand there."""
    idle, lists, inspects = {}, {}, {}
    for name, client in clients.items():
        idle[name] = [await standing.idle_mb(engines[name], client, IDLE)]
        lists[name], inspects[name] = await standing.listing_ms(client, LISTED)
    return [
        _ratio(f"memory of {IDLE} idle containers' helpers (MB)", idle, IDLE_TARGET),
        _ratio(f"list of {LISTED} containers", lists, LIST_TARGET),
        _ratio(f"inspect, one of {LISTED}", inspects, INSPECT_TARGET),
    ]


async def image_rows(engines: dict[str, Engine], clients: dict[str, Client], directory: Path, rounds: int) -> list[Row]:
    """Pushes to empty registries on the loopback, memory for large images, the list of an image with many names."""
    both = {name: engines[name] for name in clients}
    loaded, pulled = await asyncio.to_thread(registries.pushes, both, directory, rounds)
    suite = engines["seaway"]
    assert isinstance(suite, Seaway)
    peaks = await asyncio.to_thread(registries.memory, suite, directory)
    return [
        *(
            Row(f"memory of the image service, {what} of 1 GB", peak, "MB", IMAGE_TARGET_MB, {"seaway": [peak]})
            for what, peak in peaks.items()
        ),
        _ratio("push of a loaded image of 100 MB", loaded, PUSH_TARGET),
        _ratio("push of a pulled image of 100 MB", pulled, PUSH_TARGET),
        _ratio(f"list of images, {registries.TAGS} tags", await registries.listing(clients), TAGS_TARGET),
    ]


async def dns_rows(clients: dict[str, Client], directory: Path, rounds: int) -> list[Row]:
    """From a question for a container's name to the answer, at a thousand questions a second."""
    programs, out = directory / "asker", directory / "answered"
    programs.mkdir()
    out.mkdir()
    words = ["gcc", "-O2", "-static", "-o", str(programs / "dnsasker"), str(HERE / "c" / "dnsasker.c")]
    await asyncio.to_thread(subprocess.run, words, check=True)
    found = await names.answers(clients, programs, out, rounds)
    return [_ratio(f"DNS answer at 1000/s, {part} (us)", found[part], DNS_TARGET) for part in ("p50", "p99")]


async def build_rows(clients: dict[str, Client], rounds: int) -> list[Row]:
    """Builds beside dockerd's classic builder."""
    anew, cached = await builds.builds(clients, rounds)
    return [
        _ratio(f"build of {builds.STEPS} steps (ms)", anew, BUILD_TARGET),
        Row("the same from the cache", measure.median(cached["seaway"]), "ms", CACHED_TARGET_MS, cached),
    ]


async def network_rows(clients: dict[str, Client], rounds: int, count: int) -> list[Row]:
    """Networks of users."""
    starts = await networks.starts(clients["seaway"], rounds, count)
    later = measure.median(starts["users"]) - measure.median(starts["bridge"])
    first, last = await networks.many_ports(clients)
    slower = measure.median(last["seaway"]) / measure.median(first["seaway"])
    made, connected = await networks.calls(clients, rounds, count)
    within, published = await networks.traffic(clients, rounds)
    return [
        Row("a start in a network of users comes later by", later, "ms", START_TARGET_MS, starts),
        Row(
            "start with a port: 200th beside first",
            slower,
            "times",
            PORTS_TARGET,
            {"first": first["seaway"], "last": last["seaway"]},
        ),
        _ratio("start with a port, the last of 200", last, 1.0),
        _ratio("network create + remove", made, NETWORK_TARGET),
        _ratio("connect + disconnect", connected, NETWORK_TARGET),
        _ratio("TCP between containers (s/GB)", within, TRAFFIC_TARGET),
        _ratio("TCP through a published port (s/GB)", published, TRAFFIC_TARGET),
    ]


def _ratio(metric: str, samples: dict[str, list[float]], bound: float) -> Row:
    value = measure.median(samples["seaway"]) / measure.median(samples["docker"])
    return Row(metric, value, "of docker", bound, samples)


def _share(value: float) -> str:
    return f"1/{1 / value:.1f}" if value < 1 else f"{value:.2f}"


def report(rows: list[Row]) -> None:
    """The table."""
    print(f"{'':47}{'medians':>26}{'result':>18}{'target':>10}")
    for row in rows:
        medians = "  ".join(f"{name} {measure.median(values):.1f}" for name, values in row.samples.items())
        shown, bound = (
            (_share(row.value), _share(row.bound))
            if row.unit == "of docker"
            else (
                f"{row.value:.2f} {row.unit}",
                f"{row.bound:g}",
            )
        )
        print(f"{row.metric:47}{medians:>26}{shown:>18}{bound:>10}  {'good' if row.is_good else 'MISSED'}")


def main() -> int:
    """Measure; 0 when all targets are met, else 1."""
    given = arguments()
    rows: list[Row] = []
    with place() as directory:
        if given.only in (None, "suite"):
            rows += suite_rows(directory, given.rounds)
        if given.only != "suite":
            engines: dict[str, Engine] = {
                "docker": Dockerd(directory / "docker"),
                "seaway": Seaway(directory / "seaway"),
            }
            if given.podman:
                engines["podman"] = Podman(directory / "podman")
            quick = asyncio.Runner(loop_factory=uvloop.new_event_loop)  # the client's own time counts, too
            with running(engines) as clients, quick as runner:
                rows += runner.run(engine_rows(engines, clients, directory, given))
    report(rows)
    with open(given.results, "w") as out:
        for row in rows:
            out.write(json.dumps(asdict(row) | {"good": row.is_good}) + "\n")
    print(f"All samples: {given.results}")
    return 0 if all(row.is_good for row in rows) else 1


if __name__ == "__main__":
    sys.exit(main())
