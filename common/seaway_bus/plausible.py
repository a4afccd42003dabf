"""Which beats are possible. A hostile node may report anything; who computes with it must not fail. Pure."""

from collections.abc import Iterator
from ipaddress import ip_address
from typing import Final

from seaway_contracts.nodes import Beat

MOST_BYTES: Final = 256 << 10
"""Of facts: the list of all nodes must fit into a message."""
_MOST: Final = (1 << 63) - 1
_HOUR_NS: Final = 3_600_000_000_000
_LONGEST_WORD: Final = 256
_MOST_DEVICES: Final = 256
_MOST_SHORTAGES: Final = 8


def trouble_with(beat: Beat) -> str:
    """What is impossible about a beat; empty if nothing is."""
    if not all(0 <= number <= _MOST for number in _numbers(beat)):
        return "a number is negative or too large"
    if beat.interval_ns > _HOUR_NS:
        return "its interval is longer than an hour"
    if any(len(word) > _LONGEST_WORD for word in _words(beat)):
        return f"a word has more than {_LONGEST_WORD} characters"
    if beat.facts.address and not _is_ip_address(beat.facts.address):
        return f"{beat.facts.address!r} is no IP address"
    if max(len(beat.reserved.devices), len(beat.facts.devices)) > _MOST_DEVICES:
        return f"it has more than {_MOST_DEVICES} kinds of devices"
    if len(beat.pressure) > _MOST_SHORTAGES or not all(word.isalpha() for word in beat.pressure):
        return "what it runs out of is no list of words"
    if beat.has_facts and (size := len(beat.facts.model_dump_json(exclude_defaults=True))) > MOST_BYTES:
        return f"its facts have {size} bytes, at most {MOST_BYTES}"
    return ""


def _is_ip_address(text: str) -> bool:
    try:
        ip_address(text)
    except ValueError:
        return False
    return True


def _numbers(beat: Beat) -> Iterator[int]:
    yield from (beat.inventory, beat.time_ns, beat.interval_ns, beat.running, beat.containers, beat.monotonic_ns)
    for capacity in (beat.capacity, beat.free):
        yield from (capacity.nano_cpus, capacity.memory, capacity.pids, capacity.disk)
    yield from (beat.reserved.nano_cpus, beat.reserved.memory)
    yield from beat.reserved.devices.values()
    yield from beat.facts.devices.values()


def _words(beat: Beat) -> Iterator[str]:
    yield from (beat.epoch, beat.facts.address, beat.facts_id, *beat.pressure)
    yield from beat.reserved.devices
    yield from beat.facts.devices
