"""Simulation: many agents in one process; `python -m tests.scale.agents URL SECRETS FIRST COUNT`.

It takes one JSON line for each order (`connect`, `hold`, `template`), and answers each with one JSON line.
"""

import asyncio
import json
import logging
import sys
from pathlib import Path
from typing import Any, Final

import uvloop
from tests.scale.agent import SimulatedAgent
from tests.scale.names import node_name

from seaway_cli.permissions import agent_user
from seaway_contracts.containers import ContainerSpec
from seaway_kit import memory
from seaway_kit.tasks import Tasks

_AT_ONCE: Final = 16


class Agents:
    """The agents of this process."""

    def __init__(self, url: str, secrets: Path, numbers: range) -> None:
        self._url = url
        self._secrets = secrets
        self._agents = [SimulatedAgent(node_name(number)) for number in numbers]

    async def obey(self, order: dict[str, Any]) -> dict[str, Any]:
        """Carry out one order."""
        match order["do"]:
            case "connect":
                await self._each(self._connect)
                return {"connected": len(self._agents)}
            case "template":
                specs = (held.spec for agent in self._agents for held in agent.containers.values())
                spec = next(specs, None)
                return {"spec": spec.model_dump(mode="json") if spec else None}
            case "hold":
                spec = ContainerSpec.model_validate(order["spec"])
                await self._each(lambda agent: agent.hold(spec, order["count"]))
                return {"held": sum(len(agent.containers) for agent in self._agents)}
        raise ValueError(order)

    async def _connect(self, agent: SimulatedAgent) -> None:
        user = agent_user(agent.node)
        await agent.open(self._url, user, (self._secrets / user).read_text().strip())

    async def _each(self, work: Any) -> None:
        gate = asyncio.Semaphore(_AT_ONCE)

        async def one(agent: SimulatedAgent) -> None:
            async with gate:
                await work(agent)

        async with asyncio.TaskGroup() as group:
            for agent in self._agents:
                group.create_task(one(agent))


async def live(agents: Agents) -> None:
    """Obey until the standard input ends."""
    tasks = Tasks("agents")
    tasks.spawn("memory", memory.give_back())
    while line := await asyncio.to_thread(sys.stdin.readline):
        print(json.dumps(await agents.obey(json.loads(line))), flush=True)
    await tasks.close()


def main() -> None:
    """Run the agents of the command line."""
    url, secrets, first, count = sys.argv[1:]
    logging.getLogger("seaway_bus").setLevel(logging.ERROR)  # a thousand lose their connections when NATS is killed
    memory.one_arena()
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(live(Agents(url, Path(secrets), range(int(first), int(first) + int(count)))))


if __name__ == "__main__":
    main()
