"""The messages between the agent and its supervisor: JSON, one per datagram of a SEQPACKET socket.

An order carries the descriptors of its exec: its input, its two outputs, and the reading ends of these two.
"""

from dataclasses import dataclass
from typing import Final

AGENT_FD: Final = 3
"""The supervisor's descriptor of its socket to the agent."""

MOST: Final = 65536
"""The longest message, in bytes."""

REFUSED: Final = "refused"
"""A file in an exec's bundle: the runtime could not run it."""


@dataclass(frozen=True)
class Order:
    """One exec: the runtime's command line, and where its files are.

    `begin_by`: on CLOCK_MONOTONIC, in seconds; an order that is read later is refused.
    """

    id: str
    argv: list[str]
    directory: str
    pid_file: str
    exit_file: str
    begin_by: float
    oom_score: int = 0
