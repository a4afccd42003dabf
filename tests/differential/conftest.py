"""Docker's own daemon and a Seaway suite, each in a small world of its own, with the same images."""

import os
import shutil
import sys
import tempfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path

import pytest

_HERE = Path(__file__).parent
sys.path[:0] = [path for path in (str(_HERE), str(_HERE.parent / "e2e")) if path not in sys.path]

from differ.pair import DOCKER_METRICS, Pair
from differ.registries import REGISTRY_PORT, SEARCH_PORT, SearchServer
from e2e_rig.dockerd import Dockerd
from e2e_rig.engine import Engine
from e2e_rig.registry import Registry
from e2e_rig.seaway import Seaway
from e2e_rig.world import World

_NEEDED = ("dockerd", "containerd", "runc", "nats-server", "crun", "conmon", "ip", "nft", "busybox", "docker-registry")


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """What looks back on all scenarios goes last, in whatever order the others run."""
    items.sort(key=lambda item: item.get_closest_marker("looks_back") is not None)


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "looks_back: judges what the other tests have found; runs after them")


@pytest.fixture(scope="session")
def pair() -> Iterator[Pair]:
    """Both engines, for all scenarios."""
    missing = [name for name in _NEEDED if shutil.which(name) is None]
    if missing or os.geteuid() != 0:
        pytest.fail(f"this suite needs root and {', '.join(missing) or 'nothing more'}: ./dev test sees to it")
    directory = Path(tempfile.mkdtemp(prefix="diff-"))
    with ExitStack() as stack:
        stack.callback(shutil.rmtree, directory)
        docker, seaway = Dockerd(directory / "docker", DOCKER_METRICS), Seaway(directory / "seaway")
        pool = stack.enter_context(ThreadPoolExecutor(2))
        starting = {engine: pool.submit(_start, engine, stack) for engine in (docker, seaway)}
        yield Pair(docker, seaway, pool, {engine: started.result() for engine, started in starting.items()})


def _start(engine: Engine, stack: ExitStack) -> World:
    """In a network namespace of its own: both want the same bridge addresses and ports."""
    world = World()
    stack.callback(world.close)
    stack.callback(engine.purge)
    with world.inside():
        place = engine.run.parent / "registry"
        place.mkdir()
        stack.callback(Registry.start(place, port=REGISTRY_PORT).stop)
        stack.callback(SearchServer(SEARCH_PORT).close)
        engine.start()
    Pair.load(engine)
    return world
