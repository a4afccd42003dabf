"""Commands about builds of images and their cache."""

import secrets
import time

from seaway_agent.build.builds import Builds
from seaway_bus.bus import Bus, Command
from seaway_bus.outbox import Outbox
from seaway_contracts import catalogue
from seaway_contracts.base import Empty
from seaway_contracts.builds import (
    BuildCache,
    BuildEvent,
    CancelBuild,
    CancelledBuild,
    ListBuildCache,
    PruneBuildCache,
    PrunedBuildCache,
    StartBuild,
)
from seaway_contracts.channels import EventChannel
from seaway_contracts.lifecycle import Envelope


def tell_build(
    outbox: Outbox,
    node: str,
    channel: EventChannel[BuildEvent],
    build: str,
    attributes: dict[str, str],
    command: Command,
) -> None:
    """Publish the event of a build."""
    envelope = Envelope(
        secrets.token_hex(12),
        node,
        channel.noun,
        channel.action,
        build,
        time.time_ns(),
        cause=command.id,
        actor=command.actor,
    )
    outbox.tell(channel, envelope, BuildEvent(attributes=attributes))


class BuildCommands:
    """A build's own life is its byte stream's; commands begin it, and stop it for others."""

    def __init__(self, node: str, builds: Builds) -> None:
        self._node = node
        self._builds = builds

    async def serve(self, bus: Bus) -> None:
        """Take the commands from the bus."""
        await bus.serve(catalogue.START_BUILD, self._start, node=self._node)
        await bus.serve(catalogue.CANCEL_BUILD, self._cancel, node=self._node)
        await bus.serve(catalogue.BUILD_CACHE, self._list, node=self._node)
        await bus.serve(catalogue.PRUNE_BUILD_CACHE, self._prune, node=self._node)

    async def _start(self, asked: StartBuild, command: Command) -> Empty:
        await self._builds.start(asked, command)
        return Empty()

    async def _list(self, asked: ListBuildCache, command: Command) -> BuildCache:
        return await self._builds.cache.list()

    async def _prune(self, asked: PruneBuildCache, command: Command) -> PrunedBuildCache:
        return await self._builds.cache.prune(asked)

    async def _cancel(self, asked: CancelBuild, command: Command) -> CancelledBuild:
        return self._builds.cancel(asked.id)
