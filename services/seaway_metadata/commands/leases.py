"""Addresses of builds in networks of users: reserved for a while, and again for as long as a build runs (ADR 0060).

A build has no record, so its claims are nobody's `SETTLED_NS` after the last renewal: anybody may take them over, and
the copy that knows of them frees them.
"""

import logging
import time
from collections.abc import Callable
from ipaddress import ip_address, ip_network
from typing import Final

from seaway_bus.bus import Bus, Command
from seaway_bus.transport import WrongRevision
from seaway_contracts import catalogue
from seaway_contracts.base import Empty
from seaway_contracts.containers import EndpointSpec
from seaway_contracts.docker_errors import no_such_network
from seaway_contracts.errors import bad_request, unavailable
from seaway_contracts.ids import is_container_id, is_network_id
from seaway_contracts.networks import LeaseAddresses, LeasedEndpoint, NetworkRecord, ReturnAddresses
from seaway_metadata.commands.endpoints import Endpoints
from seaway_metadata.commands.reachable import reachable
from seaway_metadata.commands.reserving import Reserving
from seaway_metadata.kinds.container_inventories import ContainerTable
from seaway_metadata.kinds.containers import ADDRESSES, endpoint_claims
from seaway_metadata.store.claims import SETTLED_NS
from seaway_metadata.store.kind import Claim

log = logging.getLogger(__name__)
_OF_BUILDS: Final = "build-"
"""How the holder of a lease begins: no container's id does."""
_LOOKED_AT_NS: Final = 2 * SETTLED_NS


class Leases:
    """Serves `network.lease` and `unlease`."""

    def __init__(
        self,
        bus: Bus,
        containers: ContainerTable,
        endpoints: Endpoints,
        reserving: Reserving,
        missing: Callable[[], None],
        now_ns: Callable[[], int] = time.time_ns,
    ) -> None:
        self._bus = bus
        self._table = containers
        self._endpoints = endpoints
        self._reserving = reserving
        self._missing = missing
        self._now_ns = now_ns
        self._known: dict[Claim, tuple[str, int]] = {}
        """Leases with their holders, and when they are looked at next."""
        self._has_loaded = False

    async def serve(self) -> None:
        """Begin to answer."""
        await self._bus.serve(catalogue.LEASE_ADDRESSES, self.lease)
        await self._bus.serve(catalogue.RETURN_ADDRESSES, self.give_back)

    async def lease(self, request: LeaseAddresses, command: Command) -> LeasedEndpoint:
        """Raises SeawayError: CONFLICT, with the reason OTHER_NODE, for a network of another node; NOT_FOUND."""
        holder = _holder(request.build)
        if not request.node:
            raise bad_request("a lease needs the node of its build")
        leased = request.endpoint
        with reachable(self._missing):
            asked = EndpointSpec(network=leased.network_id if leased is not None else request.network)
            (resolved,) = await self._endpoints.resolve((asked,), request.node, of_new=holder)
            if resolved.network is None:
                raise no_such_network(request.network)
            network = await self._endpoints.keep_bound(resolved.network, request.node)
            if leased is None:
                leased, _ = await self._reserving.choose(resolved, holder)
            else:
                await self._renew(network, leased, holder)
        self._note(leased, holder)
        return LeasedEndpoint(network=network, endpoint=leased)

    async def _renew(self, network: NetworkRecord, leased: EndpointSpec, holder: str) -> None:
        _check_inside(network, leased)
        try:
            await self._reserving.reserve(endpoint_claims(leased), holder)
        except WrongRevision:
            raise unavailable("the addresses of the build are being changed at the same time; try again") from None

    def _note(self, leased: EndpointSpec, holder: str) -> None:
        for claim in endpoint_claims(leased):
            self._note_claim(claim, holder)

    def _note_claim(self, claim: Claim, holder: str) -> None:
        self._known[claim] = holder, self._now_ns() + _LOOKED_AT_NS

    async def give_back(self, request: ReturnAddresses, command: Command) -> Empty:
        """Free what a build has leased; nothing leased is no error."""
        holder = _holder(request.build)
        with reachable(self._missing):
            for claim in endpoint_claims(request.endpoint):
                if self._table.records.claims.fits(claim):
                    await self._table.records.claims.release(claim, holder)
                    self._known.pop(claim, None)
            if is_network_id(request.endpoint.network_id):
                await self._endpoints.release_network(request.endpoint.network_id, holder)
        return Empty()

    async def sweep(self) -> None:
        """Free the leases of which nobody has said anything for long: also those that other copies have given.

        Raises TransportError, SeawayError.
        """
        if not self._has_loaded:
            for claim, holder in await self._table.records.claims.held_by(ADDRESSES, _OF_BUILDS):
                if claim not in self._known:
                    self._note_claim(claim, holder)
            self._has_loaded = True
        now = self._now_ns()
        for claim, (holder, due) in [*self._known.items()]:
            if due > now:
                continue
            if await self._table.records.claims.lapse(claim, holder):
                log.info("the lease of %s by %s has ended", claim.word, holder)
                del self._known[claim]
            else:
                self._note_claim(claim, holder)


def _holder(build: str) -> str:
    if not is_container_id(build):
        raise bad_request("a build's id has 64 hex digits")
    return f"{_OF_BUILDS}{build}"


def _check_inside(network: NetworkRecord, leased: EndpointSpec) -> None:
    """Raises BAD_REQUEST for addresses that this network can't have given."""
    subnets = [ip_network(pool.subnet) for pool in network.pools]
    try:
        asked = [ip_address(text) for text in (leased.claimed_ipv4, leased.claimed_ipv6) if text]
    except ValueError as error:
        raise bad_request(str(error)) from None
    if not asked or not all(any(one in subnet for subnet in subnets) for one in asked):
        raise bad_request(f"a build can't have leased these addresses in network {network.name}")
