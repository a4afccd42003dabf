"""A container's /etc/resolv.conf on the default bridge, from the host's file and the --dns options. Pure.

Behaviour of Docker 26 on a network without internal resolver: loopback and IPv6 nameservers of the host are
dropped, Google's public ones replace them when none is left, the last ``search`` (or ``domain``) line counts,
``options`` add up, unknown directives are kept. ``--dns`` values are used unchanged.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from ipaddress import ip_address

FALLBACK_NAMESERVERS = ("8.8.8.8", "8.8.4.4")


@dataclass(slots=True)
class ResolvConf:
    """The directives of a resolv.conf file."""

    nameservers: list[str] = field(default_factory=list)
    search: list[str] = field(default_factory=list)
    options: list[str] = field(default_factory=list)
    other: list[str] = field(default_factory=list)

    def render(self) -> str:
        """The file's text."""
        lines = [f"nameserver {server}" for server in self.nameservers]
        lines += [f"search {' '.join(self.search)}"] if self.search else []
        lines += [f"options {' '.join(self.options)}"] if self.options else []
        lines += self.other
        return "".join(f"{line}\n" for line in lines)


def parse(text: str) -> ResolvConf:
    """Read a resolv.conf file; comments, blank lines and invalid nameservers are left out."""
    conf = ResolvConf()
    for line in text.splitlines():
        fields = line.split()
        if fields and fields[0][0] not in "#;":
            _take(conf, line, fields[0], fields[1:])
    return conf


def _take(conf: ResolvConf, line: str, directive: str, values: list[str]) -> None:
    match directive:
        case "nameserver":
            conf.nameservers += [value for value in values[:1] if _is_address(value)]
        case "domain" | "search":
            conf.search = values or conf.search
        case "options":
            conf.options += values
        case _:
            conf.other.append(line)


def _is_address(text: str) -> bool:
    try:
        ip_address(text)
    except ValueError:
        return False
    return True


def _reachable(server: str) -> bool:
    """Whether a nameserver of the host works inside a container that has IPv4 only."""
    address = ip_address(server)
    return address.version == 4 and not address.is_loopback


def for_container(
    host_file: str,
    *,
    dns: Sequence[str] = (),
    dns_search: Sequence[str] = (),
    dns_options: Sequence[str] = (),
) -> str:
    """Text of a container's resolv.conf. ``host_file`` is the host's text; ``dns_search=["."]`` means no search."""
    conf = parse(host_file)
    inherited = [server for server in conf.nameservers if _reachable(server)]
    conf.nameservers = list(dns) or inherited or list(FALLBACK_NAMESERVERS)
    if dns_search:
        conf.search = [domain for domain in dns_search if domain != "."]
    if dns_options:
        conf.options = list(dns_options)
    return conf.render()
