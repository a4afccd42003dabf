"""Counters that the host doesn't have, from /proc/<pid>/net/dev."""

import os

from seaway_agent.network.port import InterfaceCounters
from seaway_agent.network.sandbox import counters_inside, parse_interface_counters

TEXT = """Inter-|   Receive                            |  Transmit
 face |bytes packets errs drop fifo frame compressed multicast|bytes packets errs drop fifo colls carrier compressed
    lo:       5       1    0    0    0     0          0         0        5       1    0    0    0     0       0      0
eth0:1000 10 1 2 0 0 0 3 2000 20 3 4 0 0 0 0
"""


def test_received_and_sent_by_interface() -> None:
    found = parse_interface_counters(TEXT)
    assert found == {
        "lo": InterfaceCounters(5, 1, 0, 0, 5, 1),
        "eth0": InterfaceCounters(1000, 10, 1, 2, 2000, 20, 3, 4),
    }


def test_of_a_process_and_of_one_that_has_ended() -> None:
    assert "lo" in counters_inside(os.getpid())
    assert counters_inside(4194303) == {}
