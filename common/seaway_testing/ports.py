"""TCP ports on loopback that are free, for what a test starts."""

import contextlib
import random
import socket
from typing import Final

_FIRST, _LAST = 10_000, 32_767  # below those that the kernel deals out: no connection of another process takes one
_TRIES: Final = 100
_dealt = random.SystemRandom()  # pytest seeds the usual one, in each of its processes alike


def free_port(address: str = "127.0.0.1") -> int:
    """One that nobody listens on right now."""
    return free_ports(1, address)[0]


def free_ports(count: int, address: str = "127.0.0.1") -> list[int]:
    """As many, one after another."""
    for _ in range(_TRIES):
        first = _dealt.randint(_FIRST, _LAST + 1 - count)
        ports = [*range(first, first + count)]
        if _are_free(ports, address):
            return ports
    raise AssertionError(f"{_TRIES} times, some of {count} ports from {first} on {address} were taken")


def _are_free(ports: list[int], address: str) -> bool:
    with contextlib.ExitStack() as held:
        try:
            for port in ports:
                probe = held.enter_context(socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET))
                probe.bind((address, port))
        except OSError:
            return False
    return True
