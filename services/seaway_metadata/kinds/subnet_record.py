"""The record of all networks' subnets, changed by compare and set: no two networks ever overlap.

A subnet is held before its network's record is stored. Where that never came to be, it is free after a moment.
Where the record of subnets was lost, the networks that this copy knows hold theirs again.
"""

import time
from collections.abc import Awaitable, Callable, Iterable, Sequence
from ipaddress import ip_network
from typing import Final

from seaway_bus.transport import Bucket, WrongRevision
from seaway_contracts.errors import SeawayError
from seaway_contracts.networks import HeldSubnet, NetworkRecord, Pool, Subnets
from seaway_metadata.kinds.subnets import DEFAULT_POOLS, DefaultPool, Subnet, complete, overlapping
from seaway_metadata.store.claims import SETTLED_NS
from seaway_metadata.store.stored import decode, encode

_KEY: Final = "all"


class SubnetRecord:
    """For any copy. All methods raise TransportError."""

    def __init__(
        self,
        bucket: Bucket,
        exists: Callable[[str], Awaitable[bool]],
        known: Callable[[], Iterable[NetworkRecord]],
        defaults: Sequence[DefaultPool] = DEFAULT_POOLS,
        now_ns: Callable[[], int] = time.time_ns,
    ) -> None:
        """`exists`: whether the record of the network of that id is stored. `known`: the networks in memory."""
        self._bucket = bucket
        self._exists = exists
        self._known = known
        self._defaults = defaults
        self._now_ns = now_ns

    async def reserve(self, network: NetworkRecord, hosts: Iterable[Subnet]) -> tuple[Pool, ...]:
        """The network's pools, complete, whose subnets are its own from now on. `hosts`: what is taken on the nodes.

        The same network again keeps its subnets, also where others would be chosen by now. Raises as
        `subnets.complete` does.
        """
        hosts = tuple(hosts)
        while True:
            held, revision = await self._read()
            held += await self._lost(held)
            others = [one for one in held if one.network != network.id]
            own = [ip_network(one.subnet) for one in held if one.network == network.id]
            free_of_own = [host for host in hosts if overlapping(host, own) is None]
            taken = (*free_of_own, *(ip_network(one.subnet) for one in others))
            defaults = (*(DefaultPool(subnet, subnet.prefixlen) for subnet in own), *self._defaults)
            try:
                pools = complete(network, taken, defaults)
            except SeawayError:
                if stale := await self._stale(others):
                    await self._write([one for one in held if one not in stale], revision)
                    continue
                raise
            mine = [HeldSubnet(subnet=pool.subnet, network=network.id, since_ns=self._now_ns()) for pool in pools]
            if network.config_only or await self._write([*others, *mine], revision):
                return pools

    async def release(self, network: str) -> None:
        """Free the subnets of the network of that id."""
        while True:
            held, revision = await self._read()
            others = [one for one in held if one.network != network]
            if len(others) == len(held) or await self._write(others, revision):
                return

    async def take_back(self, network: str, error: SeawayError) -> None:
        """Free the subnets of a network of which the registration was refused with `error`.

        Not where another copy has registered it, or may be doing so: then they are free after a moment.
        """
        if not error.retryable and not await self._exists(network):
            await self.release(network)

    async def _lost(self, held: Iterable[HeldSubnet]) -> list[HeldSubnet]:
        """Those of networks that are there, and hold none in the record."""
        holders = {one.network for one in held}
        lost = [one for one in self._known() if one.id not in holders and not one.config_only]
        return [
            HeldSubnet(subnet=pool.subnet, network=one.id, since_ns=one.created_ns)
            for one in lost
            if await self._exists(one.id)
            for pool in one.pools
        ]

    async def _stale(self, held: Iterable[HeldSubnet]) -> list[HeldSubnet]:
        """Those of networks that never came to be."""
        old = [one for one in held if self._now_ns() - one.since_ns > SETTLED_NS]
        return [one for one in old if not await self._exists(one.network)]

    async def _read(self) -> tuple[list[HeldSubnet], int]:
        found = await self._bucket.get(_KEY)
        return (list(decode(Subnets, found.value).held), found.revision) if found is not None else ([], 0)

    async def _write(self, held: Sequence[HeldSubnet], revision: int) -> bool:
        """Whether it was written, as nobody has changed it meanwhile."""
        body = encode(Subnets(held=tuple(held)))
        try:
            await (self._bucket.update(_KEY, body, revision) if revision else self._bucket.create(_KEY, body))
        except WrongRevision:
            return False
        return True
