"""Making an image of a container."""

import contextlib
import time
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import aclosing, asynccontextmanager
from dataclasses import replace
from typing import Final

from seaway_agent.archive.changes import tar_layer
from seaway_agent.archive.transfer import produced
from seaway_agent.archive.walk import Write
from seaway_agent.commands.blobs import BlobClient
from seaway_agent.container.runner import ContainerRunner
from seaway_agent.inventory.inventory import Inventory
from seaway_agent.rootfs.upper import UpperStore
from seaway_bus.bus import Bus, Command
from seaway_contracts import catalogue
from seaway_contracts.archives import CommitContainer, Committed
from seaway_contracts.containers import State
from seaway_contracts.errors import SeawayError, conflict, internal
from seaway_kit.failpoints import Failpoint, reach

_AT_ONCE: Final = 4


class CommitCommand:
    """`container.commit`: the writable layer goes to the image service as a tar, straight from the disk."""

    def __init__(self, inventory: Inventory, blobs: BlobClient, uppers: UpperStore) -> None:
        self._inventory = inventory
        self._blobs = blobs
        self._uppers = uppers
        self._threads = ThreadPoolExecutor(_AT_ONCE, thread_name_prefix="commit")

    async def serve(self, bus: Bus) -> None:
        """Take the command from the bus."""
        await bus.serve(catalogue.COMMIT, self._commit, node=self._inventory.node)

    def close(self) -> None:
        """Take no new work."""
        self._threads.shutdown(wait=False, cancel_futures=True)

    async def _commit(self, asked: CommitContainer, command: Command) -> Committed:
        runner = self._inventory.runner(asked.id)
        if runner.status.state in (State.REMOVING, State.DEAD):
            raise conflict(f"You cannot commit container {asked.id} which is being removed")
        async with _paused(runner, command) if asked.pause else contextlib.nullcontext():
            made = await self._send(runner, asked)
            reach(Failpoint.COMMIT_STORED)
            attributes = {"comment": asked.comment, "imageID": made.id, "imageRef": made.ref}
            runner.note(command, catalogue.CONTAINER_COMMIT.action, **attributes)
            return made

    async def _send(self, runner: ContainerRunner, asked: CommitContainer) -> Committed:
        upper = self._uppers.locate(asked.id).upper

        def layer(write: Write) -> None:
            tar_layer(upper, write)

        try:
            async with aclosing(produced(self._threads, layer)) as pieces:
                return await self._blobs.commit(asked.upload, pieces)
        except OSError as error:
            raise internal(f"the writable layer of container {runner.spec.name} can't be read: {error}") from error


@asynccontextmanager
async def _paused(runner: ContainerRunner, command: Command) -> AsyncIterator[None]:
    """Pause a running container meanwhile; one that ends just then needs no pause.

    If a user has unpaused and paused it again, it stays paused.
    """
    paused = False
    if runner.status.state is State.RUNNING:
        with contextlib.suppress(SeawayError):
            await runner.pause(replace(command, id=f"{command.id}-pause"), for_commit=True)
            paused = True
            reach(Failpoint.COMMIT_PAUSED)
    try:
        yield
    finally:
        if paused and runner.status.paused_by_commit:
            with contextlib.suppress(SeawayError):
                again = replace(command, id=f"{command.id}-unpause")
                await runner.submit(again, lambda waiter: runner.machine.unpause(waiter, time.time_ns()))
