"""One `docker run`, followed through every service by its trace: in spans, and in logs."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from e2e_rig import images
from e2e_rig.docker_cli import DockerCli
from e2e_rig.seaway import Seaway
from e2e_rig.waits import eventually

from seaway_testing.collector import CLIENT, INTERNAL, SERVER, CollectedSpan, Collector

pytestmark = [pytest.mark.seaway_only, pytest.mark.own_engines]
TRACE, SPAN = "4bf92f3577b34da6a3ce929d0e0e47", "00f067aa0ba902b7"
SERVICES = {"seaway-api", "seaway-image", "seaway-scheduler", "seaway-metadata", "seaway-agent"}


@pytest.fixture(scope="module")
def collector() -> Iterator[Collector]:
    with Collector() as made:
        yield made


@pytest.fixture(scope="module")
def suite(e2e_directory: Path, collector: Collector) -> Iterator[Seaway]:
    """It logs each span, and sends them every 50 ms instead of every 5 s."""
    (e2e_directory / "traces").mkdir()
    made = Seaway(e2e_directory / "traces", up=("--log-level", "debug", "--otlp-endpoint", collector.url))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("OTEL_BSP_SCHEDULE_DELAY", "50")
        made.start()
    yield made
    made.purge()


@pytest.fixture
def docker(suite: Seaway, tmp_path: Path) -> DockerCli:
    made = DockerCli(suite.host, tmp_path)
    made("load", input=images.busybox_archive())
    return made


def run(docker: DockerCli, number: int) -> str:
    """`docker run` as part of a trace; the trace's id. The client sends what its configuration has as headers."""
    trace = f"{TRACE}{number:02}"
    config = {"HttpHeaders": {"traceparent": f"00-{trace}-{SPAN}-01"}}
    (Path(docker.environment["DOCKER_CONFIG"]) / "config.json").write_text(json.dumps(config))
    assert docker("run", "busybox", "echo", "hello").out == "hello"
    return trace


def whole(collector: Collector, trace: str) -> list[CollectedSpan]:
    """The spans of a `docker run`, when all have come: what each stands in, and the other side of each call."""
    answers = ("POST /containers/create", "POST /containers/{name}/start", "POST /containers/{name}/attach")

    def come() -> bool:
        spans = collector.of(trace)
        ids = {span.span_id for span in spans} | {SPAN}
        parents = {span.parent for span in spans}
        return (
            {*answers} <= {span.name for span in spans}
            and parents <= ids
            and all(span.span_id in parents for span in spans if span.kind == CLIENT)
        )

    eventually(come, "the spans of the trace", 30)
    return collector.of(trace)


def test_a_run_is_one_trace_through_all_services(docker: DockerCli, collector: Collector, suite: Seaway) -> None:
    spans = whole(collector, run(docker, 1))
    by_id = {span.span_id: span for span in spans}
    assert {span.service for span in spans} == SERVICES and {span.node for span in spans} == {"n1"}
    assert {span.failure for span in spans} == {""}, [span for span in spans if span.failure]
    assert {span.name.split()[0] for span in spans if span.parent == SPAN} <= {"GET", "HEAD", "POST"}

    def path(span: CollectedSpan) -> list[str]:
        above = path(by_id[span.parent]) if span.parent in by_id else []
        return [*above, f"{span.service.removeprefix('seaway-')}: {span.name}"]

    def one(name: str, kind: int = SERVER) -> list[str]:
        (found,) = (span for span in spans if (span.name, span.kind) == (name, kind))
        return path(found)

    create, start = "api: POST /containers/create", "api: POST /containers/{name}/start"
    assert one("container.place") == [create, "api: container.place", "scheduler: container.place"]
    assert one("container.register") == [create, "api: container.register", "metadata: container.register"]
    made = [create, "api: container.create", "agent: container.create"]
    assert one("container.create") == made
    assert one("make container", INTERNAL) == [*made, "agent: make container"]
    assert one("ensure layers", INTERNAL) == [*made, "agent: ensure layers"]
    launched = [start, "api: container.start", "agent: container.start", "agent: launch"]
    assert one("launch", INTERNAL) == launched
    for step in ("prepare network", "prepare rootfs", "runtime create", "runtime start"):
        assert one(step, INTERNAL) == [*launched, f"agent: {step}"]
    (container,) = (span.attributes["container.id"] for span in spans if span.name == "launch")
    started = next(span for span in spans if span.name == "POST /containers/{name}/start")
    assert str(started.attributes["url.path"]).endswith(f"/containers/{container}/start")
    assert started.attributes["http.response.status_code"] == 204
    assert {span.kind for span in spans} == {INTERNAL, SERVER, CLIENT}


def test_the_logs_of_all_services_have_the_ids(docker: DockerCli, collector: Collector, suite: Seaway) -> None:
    trace = run(docker, 2)
    sent = {(span.service, span.span_id) for span in whole(collector, trace)}
    logged = set()
    for path in (suite.run / "log").glob("*.log"):
        if path.stem in ("nats", "supervisor"):
            continue
        lines = [json.loads(line) for line in path.read_text().splitlines()]
        mine = [line for line in lines if line.get("trace_id") == trace]
        assert all(line["service"] == path.stem for line in mine)
        logged |= {(f"seaway-{path.stem}", line["span_id"]) for line in mine}
    assert {service for service, _ in logged} == SERVICES
    assert sent <= logged


def test_nothing_waits_for_a_collector_that_does_not_answer(docker: DockerCli, collector: Collector) -> None:
    """And nothing is lost when it does."""
    collector.answering.clear()
    traces = [run(docker, number) for number in (3, 4, 5)]
    assert not any(collector.of(trace) for trace in traces)
    collector.answering.set()
    for trace in traces:
        assert {span.service for span in whole(collector, trace)} == SERVICES


def test_compose_brings_its_own_trace(docker: DockerCli, collector: Collector, tmp_path: Path) -> None:
    """It traces each of its commands where the variable is set, whether its collector is there or not."""
    (tmp_path / "compose.yml").write_text("services: {a: {image: busybox, command: echo hello}}")
    compose = ("compose", "-f", str(tmp_path / "compose.yml"), "-p", "traced")
    docker(*compose, "up", "-d", OTEL_EXPORTER_OTLP_ENDPOINT="http://127.0.0.1:9")
    docker(*compose, "down")

    def made() -> list[CollectedSpan]:
        spans = [span for span in collector.spans if span.name == "POST /containers/create"]
        return [span for span in spans if str(span.attributes["user_agent.original"]).startswith("compose/")]

    eventually(lambda: len(made()) == 1, "the span of the container's create", 30)
    (create,) = made()
    assert create.parent
    wanted = {"POST /networks/create", "POST /containers/{name}/start", "launch"}
    eventually(lambda: wanted <= {span.name for span in collector.of(create.trace_id)}, "the rest of its trace", 30)
