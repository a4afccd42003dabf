"""A build's endpoint in a network of users: leased from metadata for as long as the build runs (ADR 0060)."""

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Final

from seaway_api.api import Api
from seaway_contracts import catalogue as cat
from seaway_contracts.builds import CancelBuild
from seaway_contracts.errors import Reason, SeawayError
from seaway_contracts.networks import LeaseAddresses, LeasedEndpoint, ReturnAddresses
from seaway_kit.tasks import cancel

log = logging.getLogger(__name__)
_RENEWED_S: Final = 10.0
"""A lease lasts three times as long."""
_PAUSES_S: Final = (0.05, 0.1, 0.2, 0.5, *(1.0,) * 30)
"""Between looks whether a build that was broken off has left its network."""
_PATIENCE_S: Final = 2.0


@dataclass
class Lease:
    """A build's endpoint. `has_left`: its node has said that the build has left the network."""

    joins: LeasedEndpoint
    has_left: bool = False


@contextlib.asynccontextmanager
async def leased(api: Api, network: str, build: str, node: str) -> AsyncIterator[Lease]:
    """An endpoint of that build's, kept until its node has left the network, soon after the block.

    Raises SeawayError, with the reason OTHER_NODE where the network is on another node.
    """
    request = LeaseAddresses(network=network, build=build, node=node)
    lease = Lease(await api.bus.call(cat.LEASE_ADDRESSES, request))
    again = request.model_copy(update={"endpoint": lease.joins.endpoint})
    renewing = api.tasks.spawn("build-lease", _renew(api, again))
    try:
        yield lease
    finally:
        ending = api.tasks.spawn("build-lease-end", _end(api, again, lease, renewing))
        await asyncio.wait({ending}, timeout=_PATIENCE_S)


async def _renew(api: Api, request: LeaseAddresses) -> None:
    """The build goes on whatever comes of this: its node gives an address to nobody else while it is in use there."""
    while True:
        await asyncio.sleep(_RENEWED_S)
        try:
            await api.bus.call(cat.LEASE_ADDRESSES, request)
        except SeawayError as error:
            log.warning("the addresses of build %s can't be kept just now: %s", request.build[:12], error)


async def _end(api: Api, request: LeaseAddresses, lease: Lease, renewing: "asyncio.Task[None]") -> None:
    """Give the addresses back as soon as nobody uses them on the node."""
    assert request.endpoint is not None
    try:
        if lease.has_left or await _has_ended(api, request):
            await cancel(renewing)
            await api.bus.call(cat.RETURN_ADDRESSES, ReturnAddresses(build=request.build, endpoint=request.endpoint))
    except SeawayError as error:
        log.warning("the addresses of build %s lapse by themselves: %s", request.build[:12], error)
    finally:
        await cancel(renewing)


async def _has_ended(api: Api, request: LeaseAddresses) -> bool:
    """Whether the node has nothing of the build any more, within half a minute; the build is stopped there."""
    for pause in _PAUSES_S:
        with contextlib.suppress(SeawayError):  # its agent is being started anew
            if not (await api.bus.call(cat.CANCEL_BUILD, CancelBuild(id=request.build), node=request.node)).found:
                return True
        await asyncio.sleep(pause)
    return False


def other_node(error: SeawayError) -> str:
    """The node on which the network is after all; empty for another refusal."""
    return error.facts.get("node", "") if error.reason is Reason.OTHER_NODE else ""
