"""Addresses, qualities of links, and the words of tc and nft for them. Pure."""

import itertools
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final

MOST_HOSTS: Final = 200
_NETWORK: Final = "198.19.0"  # set aside for tests of network devices (RFC 2544)
_UNITS: Final = {"kbit": 1_000, "mbit": 1_000_000, "gbit": 1_000_000_000}
_LEAST_BURST: Final = 32 << 10
_TICKS_A_SECOND: Final = 100  # of the slowest kernels: tbf must pass a tick's worth at once
_PARTS: Final = 10_000
Cut = frozenset[str]
"""Two hosts that don't reach each other."""


@dataclass(frozen=True)
class Link:
    """A host's link to the switch. `rate` as tc writes it (`10mbit`; empty: no limit), the rest for each direction."""

    rate: str = ""
    delay_ms: float = 0.0
    loss_percent: float = 0.0

    def __post_init__(self) -> None:
        """Raise ValueError for what no link can be."""
        if self.rate:
            bits_of(self.rate)
        if not 0 <= self.delay_ms <= 60_000:
            raise ValueError(f"a delay of {self.delay_ms:g} ms: it may be from 0 to 60000")
        if not 0 <= self.loss_percent <= 100:
            raise ValueError(f"a loss of {self.loss_percent:g} %: it may be from 0 to 100")


def bits_of(rate: str) -> int:
    """A rate in bits a second. Raises ValueError."""
    found = re.fullmatch(r"(\d+)(kbit|mbit|gbit)", rate)
    if found is None or int(found[1]) == 0:
        raise ValueError(f"rate {rate!r}: write it as 500kbit, 10mbit or 1gbit")
    return int(found[1]) * _UNITS[found[2]]


def host_names(count: int) -> list[str]:
    """h1, h2 …. Raises ValueError."""
    if not 1 <= count <= MOST_HOSTS:
        raise ValueError(f"a lab has 1 to {MOST_HOSTS} hosts, not {count}")
    return [f"h{number}" for number in range(1, count + 1)]


def address_of(host: str) -> str:
    """A host's address on the lab's network."""
    return f"{_NETWORK}.{int(host.removeprefix('h'))}"


def mac_of(host: str) -> str:
    """The address of its network card, the same after each boot, as others remember it."""
    return f"02:00:00:00:00:{int(host.removeprefix('h')):02x}"


def cuts_between(one: Iterable[str], other: Iterable[str]) -> set[Cut]:
    """Each host of one side parted from each of the other. Raises ValueError for a host on both sides."""
    one, other = set(one), set(other)
    if both := one & other:
        raise ValueError(f"{min(both)} is on both sides of the partition")
    return {frozenset(pair) for pair in itertools.product(one, other)}


def queue_disciplines(device: str, link: Link) -> list[list[str]]:
    """The commands that shape what leaves by a device; it must have no root discipline yet."""
    words, parent = [], ["root"]
    if link.delay_ms:
        words.append(["tc", "qdisc", "add", "dev", device, *parent, "handle", "1:", "netem", *_delay(link.delay_ms)])
        parent = ["parent", "1:1"]
    if link.rate:
        burst = max(_LEAST_BURST, bits_of(link.rate) // 8 // _TICKS_A_SECOND)
        tbf = ["tbf", "rate", link.rate, "burst", str(burst), "latency", "100ms"]
        words.append(["tc", "qdisc", "add", "dev", device, *parent, "handle", "2:", *tbf])
    return words


def _delay(milliseconds: float) -> list[str]:
    return ["delay", f"{milliseconds:g}ms", "limit", "100000"]  # netem's own limit of 1,000 packets loses on fast links


def ruleset(cuts: Iterable[Cut], links: Mapping[str, Link]) -> str:
    """nft's rules of the switch, which replace those before them in one transaction.

    Loss is done here, too, and not by netem, which many kernels lack.
    """
    rules = [rule for cut in sorted(map(sorted, cuts)) for rule in _cut(*cut)]
    for host, link in sorted(links.items()):
        if link.loss_percent:
            rules += [f'{end} "{host}" {_lost(link.loss_percent)}' for end in ("iifname", "oifname")]
    chain = ["type filter hook forward priority 0; policy accept;", *rules]
    body = "".join(f"    {line}\n" for line in chain)
    return f"table bridge lab\ndelete table bridge lab\ntable bridge lab {{\n  chain forward {{\n{body}  }}\n}}\n"


def _cut(one: str, other: str) -> tuple[str, str]:
    return f'iifname "{one}" oifname "{other}" drop', f'iifname "{other}" oifname "{one}" drop'


def _lost(percent: float) -> str:
    share = round(percent * _PARTS / 100)
    return f"numgen random mod {_PARTS} < {share} drop" if share < _PARTS else "drop"
