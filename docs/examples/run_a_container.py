"""Run a container without the API: run_a_container.py NATS_URL PASSWORD_FILE IMAGE COMMAND … (of the bus user `api`).

Prints where it runs, what `uname -m` says in it, and its exit code; what is left of it is removed.
"""

import asyncio
import sys
from pathlib import Path

from seaway_bus.bus import Bus
from seaway_cluster.make import ContainerCreator
from seaway_cluster.records import metadata_records
from seaway_cluster.request import ContainerRequest
from seaway_cluster.run import run
from seaway_cluster.start_and_remove import remove, start
from seaway_cluster.wait import Condition, FedWatches, waiting
from seaway_contracts.commands import RemoveContainer
from seaway_contracts.containers import Command
from seaway_kit.tasks import Tasks

ACTOR = "example"


async def run_a_container(bus: Bus, tasks: Tasks, request: ContainerRequest) -> int:
    find, watches = metadata_records(bus), FedWatches(bus.transport, tasks)
    await watches.start()
    made = await ContainerCreator(bus, tasks, ACTOR).make(request, ["example"])
    try:
        async with waiting(watches, find, made.spec.id) as container:
            await start(bus, ACTOR, find, made.spec.id, made.node)
            result = await run(bus, tasks, ACTOR, made.spec.id, made.node, ["uname", "-m"])
            print("Runs on", made.node, result.output.decode().strip(), flush=True)
            return (await container.end(Condition.NEXT_EXIT)).status.exit_code
    finally:
        await remove(bus, ACTOR, find, RemoveContainer(id=made.spec.id, force=True), made.node)
        await watches.close()


async def main(url: str, password_file: str, image: str, *command: str) -> None:
    bus = await Bus.connect(url, name="example", user="api", password=Path(password_file).read_text().strip())
    tasks = Tasks("example")
    try:
        print(
            "Ended with", await run_a_container(bus, tasks, ContainerRequest(image=image, command=Command(cmd=command)))
        )
    finally:
        await tasks.close()
        await bus.close()


asyncio.run(main(*sys.argv[1:]))
