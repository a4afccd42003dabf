"""The switch: a machine with a bridge, to which each host is joined by a link. Blocks."""

import contextlib
from collections.abc import Iterable, Mapping
from typing import Final

from deploy.lab.errors import LabError
from deploy.lab.links import Cut, Link, address_of, mac_of, queue_disciplines, ruleset
from deploy.lab.machine import Machine

NAME: Final = "switch"
_BRIDGE: Final = "lab"
_DEVICE: Final = "eth0"
"""A host's end of its link; the switch's end has the host's name."""


class Switch:
    """Needs `ip`, `tc` and `nft`. All methods raise LabError."""

    def __init__(self, machine: Machine) -> None:
        self.machine = machine

    def start(self, *, with_us: bool) -> None:
        """Make it, without links."""
        self.machine.boot(with_us=with_us)
        self._run("ip", "link", "add", _BRIDGE, "type", "bridge")
        self._run("ip", "link", "set", _BRIDGE, "up")

    def connect(self, host: Machine) -> None:
        """Give a host that was just booted its link and its address."""
        name = host.name
        with contextlib.suppress(LabError):  # the kernel may not have removed the former machine's link yet
            self._run("ip", "link", "del", name)
        card = ("name", _DEVICE, "address", mac_of(name), "netns", str(host.pid))
        self._run("ip", "link", "add", name, "type", "veth", "peer", *card)
        self._run("ip", "link", "set", name, "master", _BRIDGE, "up")
        host.on_its_network("ip", "addr", "add", f"{address_of(name)}/24", "dev", _DEVICE)
        host.on_its_network("ip", "link", "set", _DEVICE, "up")

    def shape(self, host: Machine, link: Link) -> None:
        """Give a host's link that rate and delay, in both directions."""
        if link.delay_ms:
            self._check_delay()
        for machine, device in ((self.machine, host.name), (host, _DEVICE)):
            if "noqueue" not in machine.on_its_network("tc", "qdisc", "show", "dev", device, "root"):
                machine.on_its_network("tc", "qdisc", "del", "dev", device, "root")
            for words in queue_disciplines(device, link):
                machine.on_its_network(*words)

    def filter(self, cuts: Iterable[Cut], links: Mapping[str, Link]) -> None:
        """Partitions and losses, from now on; no others."""
        self.machine.on_its_network("nft", "-f", "-", input=ruleset(cuts, links))

    def _check_delay(self) -> None:
        """Before anything is changed."""
        try:
            self._run("tc", "qdisc", "add", "dev", "lo", "root", "netem", "delay", "1ms")
        except LabError as error:
            raise LabError(
                f"this kernel can't delay packets, as it has no netem (CONFIG_NET_SCH_NETEM): {error}"
            ) from None
        self._run("tc", "qdisc", "del", "dev", "lo", "root")

    def _run(self, *words: str) -> None:
        self.machine.on_its_network(*words)
