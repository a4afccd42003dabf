"""Why a node can't take a container. Pure."""

from collections.abc import Callable
from dataclasses import dataclass

from seaway_scheduler.node import Node


@dataclass(frozen=True, slots=True)
class Reason:
    """A refusal in words: for one node, and for several."""

    one: str
    many: str

    def count(self, number: int) -> str:
        """`2 lack memory`."""
        return f"{number} {self.one if number == 1 else self.many}"


Check = Callable[[Node], Reason | None]
"""Returns why the node can't take the container; None if it can."""
Wish = Callable[[Node], bool]
"""Returns whether the node is preferred."""
