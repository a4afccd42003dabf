"""One request from a program that has no event loop: connect, ask, disconnect."""

import asyncio
from pathlib import Path

from seaway_bus.bus import Bus
from seaway_bus.transport import TransportError
from seaway_contracts.channels import CallChannel, Q, R
from seaway_contracts.errors import unavailable


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
) -> R:
    """The reply. Raises SeawayError, the other side's or UNAVAILABLE where the bus can't be reached."""

    async def ask() -> R:
        try:
            bus = await Bus.connect(url, name="seaway", user=user, password=password, ca=ca, seed=seed)
        except TransportError as error:
            raise unavailable(f"the bus at {url} can't be reached: {error}") from error
        try:
            return await bus.call(channel, request, node=node)
        finally:
            await bus.close()

    return asyncio.run(ask())
