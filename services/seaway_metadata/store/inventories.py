"""The port by which the store asks a node what it holds of a kind."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar

from seaway_contracts.base import Payload
from seaway_metadata.store.kind import I

R_contra = TypeVar("R_contra", bound=Payload, contravariant=True)


@dataclass(frozen=True, slots=True)
class Inventory(Generic[I]):
    """A page of what one life (`epoch`) of a node's agent holds; `next` is empty on the last.

    `lost_memory`: it has forgotten things in a reboot, so what it does not say it may have held all the same.
    """

    epoch: str
    items: Sequence[I]
    next: str = ""
    lost_memory: bool = False


class Inventories(Protocol[R_contra, I]):
    """What nodes hold. All raise SeawayError."""

    async def page(self, node: str, after: str) -> Inventory[I]:
        """A page of all that a node holds; `after` is the `next` of the page before."""

    async def some(self, node: str, keys: Sequence[str]) -> Inventory[I]:
        """Those of the records that it holds, within a moment."""

    async def make_again(self, node: str, record: R_contra) -> None:
        """Give a node back what it has forgotten in a reboot."""
