"""Starts both engines, each in a small world of its own, with the same images."""

import os
import shutil
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Final

from e2e_rig.dockerd import Dockerd
from e2e_rig.engine import Engine
from e2e_rig.registry import Registry
from e2e_rig.seaway import Seaway
from e2e_rig.world import World

from differ.pair import DOCKER_METRICS, Pair
from differ.registries import REGISTRY_PORT, SEARCH_PORT, SearchServer

_NEEDED: Final = (
    *("dockerd", "containerd", "runc", "nats-server", "crun", "conmon", "ip", "nft", "busybox", "docker-registry"),
)


def missing() -> str:
    """What this machine lacks for both engines, as a sentence; empty if nothing."""
    programs = [name for name in _NEEDED if shutil.which(name) is None]
    if not programs and os.geteuid() == 0:
        return ""
    return f"root is needed, and {', '.join(programs) or 'nothing more'}: ./dev test installs it"


@contextmanager
def both(directory: Path) -> Iterator[Pair]:
    """Both, with their files in `directory`; they end with the block, and what they made is removed."""
    with ExitStack() as stack:
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
