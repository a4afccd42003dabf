"""What filters return. Pure."""

from collections.abc import Callable

from seaway_scheduler.node import Node

Check = Callable[[Node], str | None]
"""Returns why the node can't take the container, in words that follow `2 nodes: `; None if it can."""
Wish = Callable[[Node], bool]
"""Returns whether the node is preferred."""
