"""Reserves addresses beside a record, all or none: for a container that is there, or for a build."""

import asyncio
import logging
from collections.abc import Mapping, Sequence
from typing import Final

from seaway_bus.transport import TransportError, WrongRevision
from seaway_contracts.containers import EndpointSpec
from seaway_contracts.errors import SeawayError, unavailable
from seaway_metadata.commands.endpoints import Endpoints, ResolvedEndpoint, may_choose_again
from seaway_metadata.kinds.container_inventories import ContainerTable
from seaway_metadata.kinds.containers import endpoint_claims
from seaway_metadata.store.kind import Claim

log = logging.getLogger(__name__)
_TRIES: Final = 64


class Reserving:
    """One copy's."""

    def __init__(self, containers: ContainerTable, endpoints: Endpoints) -> None:
        self._table = containers
        self._endpoints = endpoints

    async def choose(
        self, resolved: ResolvedEndpoint, holder: str, seq: int = 0
    ) -> tuple[EndpointSpec, dict[Claim, int]]:
        """The endpoint with its addresses, which are the holder's now, and the claims that are new.

        Raises SeawayError, TransportError.
        """
        refused: set[str] = set()
        for _ in range(_TRIES):
            (endpoint,) = chosen = self._endpoints.choose((resolved,), refused)
            try:
                return endpoint, await self.reserve(endpoint_claims(endpoint), holder, seq)
            except SeawayError as error:
                if not may_choose_again(error, chosen):
                    raise
                refused.add(error.facts["claim"])
            except WrongRevision:
                continue
            finally:
                self._endpoints.settled(chosen)
        raise unavailable("the addresses of the network are being taken at the same time; try again")

    async def reserve(self, claims: Sequence[Claim], holder: str, seq: int = 0) -> dict[Claim, int]:
        """Reserve all, or none. Returns the new ones with their revisions: another request may have made the others.

        Raises SeawayError where another holder has one, WrongRevision, TransportError.
        """
        for claim in claims:
            await self._table.kept.keep(claim, holder)
        outcomes = await asyncio.gather(
            *(self._table.records.claims.reserve_more(claim, holder, seq) for claim in claims),
            return_exceptions=True,
        )
        reserved = {claim: got for claim, got in zip(claims, outcomes, strict=True) if isinstance(got, int)}
        errors = [outcome for outcome in outcomes if isinstance(outcome, BaseException)]
        if errors:
            await self.take_back(reserved)
            raise errors[0]
        return reserved

    async def take_back(self, reserved: Mapping[Claim, int]) -> None:
        """Free what was reserved just now, unless another request of its holder's has it by now."""
        for claim, revision in reserved.items():
            try:
                await self._table.records.claims.take_back(claim, revision)
            except WrongRevision:
                log.debug("another request of its holder's has the address %s", claim.word)
            except TransportError as error:
                log.warning("the address %s lapses by itself: %s", claim.word, error)
