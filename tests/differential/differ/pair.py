"""The two engines that are compared."""

from collections.abc import Mapping
from concurrent.futures import Executor
from dataclasses import dataclass, field
from typing import Final

from e2e_rig import images
from e2e_rig.engine import Engine
from e2e_rig.world import World

from differ.compare import Difference, differences
from differ.run import observe
from differ.scripts import printed
from differ.steps import Case

_HEALTHY: Final = {"Cmd": ["sleep", "60"], "Healthcheck": {"Test": ["CMD-SHELL", "true"], "Interval": 50_000_000}}

_SHELLED: Final = {"Cmd": ["sleep", "60"], "Shell": ["/bin/echo", "-n"], "OnBuild": ["RUN true"]}

DOCKER_METRICS: Final = "127.0.0.1:9323"
"""The address of dockerd's metrics, in its own world."""


@dataclass
class Pair:
    """`worlds`: where each engine is. `found`: the differences of the scenarios that were run so far, by their case."""

    docker: Engine
    seaway: Engine
    pool: Executor
    worlds: Mapping[Engine, World]
    found: dict[str, list[Difference]] = field(default_factory=dict)

    @staticmethod
    def load(engine: Engine) -> None:
        """The same images everywhere: four to be used, and one that marks the end of a scenario."""
        for archive in (
            images.busybox_archive(),
            images.dressed_archive("dressed:1"),
            images.archive([images.busybox_layer()], _HEALTHY, ["healthy:1"]),
            images.archive([images.busybox_layer()], _SHELLED, ["shelled:1"]),
            images.archive([_marker()], {}, ["marker:1"]),
        ):
            reply = engine.api.request("POST", "/images/load?quiet=1", archive, {"Content-Type": "application/x-tar"})
            assert reply.status == 200 and b"error" not in reply.body, reply

    def compare(self, address: str, case: Case) -> list[Difference]:
        """Run a scenario on both at the same time; how they differ."""
        docker, seaway = [self.pool.submit(observe, engine, case) for engine in (self.docker, self.seaway)]
        self.found[address] = differences(address, docker.result(), seaway.result())
        return self.found[address]

    def compare_commands(self, address: str, script: str) -> list[Difference]:
        """The same for what the docker command prints."""
        docker, seaway = [self.pool.submit(printed, engine, script) for engine in (self.docker, self.seaway)]
        self.found[address] = differences(address, docker.result(), seaway.result())
        return self.found[address]


def _marker() -> bytes:
    layer = images.Layer()
    layer.file("marker", b"")
    return layer.bytes()
