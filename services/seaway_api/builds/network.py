"""A build's endpoint in a network of users: leased from metadata for as long as the build runs (ADR 0060)."""

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator
from typing import Final

from seaway_api.api import Api
from seaway_contracts import catalogue as cat
from seaway_contracts.errors import Reason, SeawayError
from seaway_contracts.networks import LeaseAddresses, LeasedEndpoint, ReturnAddresses
from seaway_kit.tasks import cancel

log = logging.getLogger(__name__)
_RENEWED_S: Final = 10.0
"""A lease lasts three times as long."""


@contextlib.asynccontextmanager
async def leased(api: Api, network: str, build: str, node: str) -> AsyncIterator[LeasedEndpoint]:
    """An endpoint of that build's, kept until the end of the block.

    Raises SeawayError, with the reason OTHER_NODE where the network is on another node.
    """
    request = LeaseAddresses(network=network, build=build, node=node)
    found = await api.bus.call(cat.LEASE_ADDRESSES, request)
    renewing = api.tasks.spawn("build-lease", _renew(api, request.model_copy(update={"endpoint": found.endpoint})))
    try:
        yield found
    finally:
        await cancel(renewing)
        try:
            await api.bus.call(cat.RETURN_ADDRESSES, ReturnAddresses(build=build, endpoint=found.endpoint))
        except SeawayError as error:
            log.warning("the addresses of build %s lapse by themselves: %s", build[:12], error)


async def _renew(api: Api, request: LeaseAddresses) -> None:
    """The build goes on whatever comes of this: its node gives an address to nobody else while it is in use there."""
    while True:
        await asyncio.sleep(_RENEWED_S)
        try:
            await api.bus.call(cat.LEASE_ADDRESSES, request)
        except SeawayError as error:
            log.warning("the addresses of build %s can't be kept just now: %s", request.build[:12], error)


def other_node(error: SeawayError) -> str:
    """The node on which the network is after all; empty for another refusal."""
    return error.facts.get("node", "") if error.reason is Reason.OTHER_NODE else ""
