"""What an API process does of BuildKit without a build: as good as nothing."""

import subprocess
import sys
from dataclasses import dataclass

import pytest

from seaway_api.buildkit.container import LABEL, NAME, builder_line, find_builder, is_running
from seaway_api.buildkit.entry import BuildKit
from seaway_api.settings import ApiSettings
from seaway_bus.bus import Bus, Command
from seaway_contracts import catalogue as cat
from seaway_contracts.containers import ContainerRecord, State
from seaway_contracts.errors import not_found
from seaway_contracts.records import ResolveContainer
from seaway_docker.filters import Filters
from seaway_kit.tasks import Tasks
from seaway_testing import builders

IMAGE = "moby/buildkit:v0.13.2"


def test_the_api_starts_without_the_libraries_of_builds() -> None:
    code = "import sys, seaway_api.main; print([name for name in sys.modules if name in ('h2', 'google.protobuf')])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


def record(state: State, **labels: str) -> ContainerRecord:
    spec = builders.spec(labels=labels)
    return ContainerRecord(spec=spec, node="n1", status=builders.status(state))


def test_its_line_in_docker_info() -> None:
    assert builder_line(None, IMAGE) == f"container {NAME} (the first build makes it, of {IMAGE})"
    running = record(State.RUNNING, **{LABEL: IMAGE})
    assert builder_line(running, IMAGE) == f"container {NAME} ({IMAGE}, running on n1)"
    assert is_running(running) and not is_running(record(State.EXITED)) and not is_running(None)


@dataclass
class Known:
    """Metadata, which has one container or none."""

    container: ContainerRecord | None = None

    async def get(self, asked: ResolveContainer, _: Command) -> ContainerRecord:
        if self.container is None or asked.ref != NAME:
            raise not_found("no such container")
        return self.container


@pytest.fixture
async def known(fake_bus: Bus) -> Known:
    answers = Known()
    await fake_bus.serve(cat.GET_CONTAINER, answers.get)
    return answers


async def test_a_container_that_only_has_the_name_is_no_builder(fake_bus: Bus, known: Known) -> None:
    assert await find_builder(fake_bus) is None
    known.container = record(State.RUNNING)
    assert await find_builder(fake_bus) is None
    known.container = record(State.RUNNING, **{LABEL: IMAGE})
    assert await find_builder(fake_bus) == known.container


def buildkit(fake_bus: Bus, tasks: Tasks, place: str) -> BuildKit:
    return BuildKit(ApiSettings(node="n1", buildkit=place), fake_bus, tasks, lambda: pytest.fail("images"))


@pytest.mark.parametrize("place", ["own", "none"])
async def test_without_a_builder_its_cache_is_empty(fake_bus: Bus, tasks: Tasks, known: Known, place: str) -> None:
    one = buildkit(fake_bus, tasks, place)
    assert await one.usage() == []
    assert await one.prune(Filters(), everything=True, keep_bytes=0, unused_ns=0) is None
    assert ("the first build makes it" in await one.describe()) == (place == "own")


async def test_a_given_one_is_called_by_its_place(fake_bus: Bus, tasks: Tasks) -> None:
    assert await buildkit(fake_bus, tasks, "unix:///b.sock").describe() == "unix:///b.sock"


@pytest.mark.parametrize("place", ["unix://b", "tcp://", "tcp://host", "owl", "npipe:///x", ""])
def test_places_that_are_none(place: str) -> None:
    with pytest.raises(ValueError, match=r"buildkit|unix|HOST:PORT|port"):
        ApiSettings(node="n1", buildkit=place)
