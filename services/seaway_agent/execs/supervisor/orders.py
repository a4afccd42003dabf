"""What the agent and its supervisor say to each other: JSON, a message each, over a socket that keeps them apart.

An order carries the descriptors of its exec: its input, its two outputs, and the reading ends of these two.
"""

from dataclasses import dataclass
from typing import Final

AGENT_FD: Final = 3
"""Where the supervisor finds its socket (SEQPACKET) to the agent."""

MOST: Final = 65536
"""No message is longer."""

REFUSED: Final = "refused"
"""In an exec's directory: the runtime could not run it."""


@dataclass(frozen=True)
class Order:
    """One exec: the runtime's command line, and where things about it are written.

    `begin_by`: by CLOCK_MONOTONIC, in seconds; an order that is read later is refused.
    """

    id: str
    argv: list[str]
    directory: str
    pid_file: str
    exit_file: str
    begin_by: float
    oom_score: int = 0
