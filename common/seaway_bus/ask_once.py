"""What a program without an event loop does on the bus: connect, ask, disconnect."""

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TypeVar

from seaway_bus.bus import Bus, Command
from seaway_bus.transport import TransportError
from seaway_contracts.channels import CallChannel, Q, R
from seaway_contracts.errors import unavailable
from seaway_kit.tasks import Tasks

T = TypeVar("T")


def ask_once(
    channel: CallChannel[Q, R],
    request: Q,
    *,
    url: str,
    user: str,
    password: str = "",
    ca: Path | None = None,
    seed: str = "",
    node: str | None = None,
    actor: str = "",
) -> R:
    """The reply. `actor`: who asks, for events that come of it.

    Raises SeawayError, the other side's or UNAVAILABLE where the bus can't be reached."""

    def ask(bus: Bus, _: Tasks) -> Awaitable[R]:
        return bus.call(channel, request, node=node, command=Command.new(actor) if actor else None)

    return run_once(ask, url=url, user=user, password=password, ca=ca, seed=seed)


def run_once(
    work: Callable[[Bus, Tasks], Awaitable[T]],
    *,
    url: str,
    user: str,
    password: str = "",
    ca: Path | None = None,
    seed: str = "",
) -> T:
    """The outcome of `work`; its tasks end with it. Raises SeawayError: UNAVAILABLE where the bus can't be reached."""

    async def run() -> T:
        tasks = Tasks("once")
        try:
            bus = await Bus.connect(url, name="seaway", user=user, password=password, ca=ca, seed=seed)
            try:
                return await work(bus, tasks)
            finally:
                await tasks.close()
                await bus.close()
        except TransportError as error:
            raise unavailable(f"the bus at {url} can't be reached: {error}") from error

    return asyncio.run(run())
