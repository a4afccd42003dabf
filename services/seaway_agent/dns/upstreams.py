"""The servers to which a container's resolver forwards, and the container's resolv.conf. Pure.

Both as Docker 26 chooses them: see libnetwork's internal/resolvconf, TransformForIntNS.
"""

from collections.abc import Sequence
from ipaddress import ip_address
from typing import NamedTuple

from seaway_agent.dns.port import ADDRESS, Upstream
from seaway_agent.network import resolvconf

_LONGEST = 10
_NO_DOTS = "ndots:0"


class ResolverConfig(NamedTuple):
    """`resolv_conf`: the text of the container's file. `upstreams` and `dotless_stay`: see ContainerNames."""

    resolv_conf: str
    upstreams: tuple[Upstream, ...]
    dotless_stay: bool


def resolver_config(
    host_file: str,
    *,
    dns: Sequence[str] = (),
    dns_search: Sequence[str] = (),
    dns_options: Sequence[str] = (),
    ipv6: bool = False,
) -> ResolverConfig:
    """How a container in networks of users resolves names. `host_file`: the host's resolv.conf.

    `ipv6`: whether it has an IPv6 address. ``dns_search=["."]`` means no search.
    """
    conf = resolvconf.parse(host_file)
    upstreams = _given(dns) if dns else _inherited(conf.nameservers, ipv6=ipv6)
    conf.used_fallback = not (dns or conf.nameservers)
    conf.override(dns, dns_search, dns_options)
    conf.nameservers = [ADDRESS]
    conf.forwarded = [f"host({one.address})" if one.on_host else one.address for one in upstreams]
    dots = resolvconf.dots_of(conf.options)
    conf.options = [option for option in conf.options if option not in dots or _number(option) >= 0]
    if not resolvconf.dots_of(conf.options):
        conf.options, conf.dots_from = [*conf.options, _NO_DOTS], "internal"
    return ResolverConfig(conf.render("internal resolver"), upstreams, any(_number(option) > 0 for option in dots))


def _given(dns: Sequence[str]) -> tuple[Upstream, ...]:
    return tuple(Upstream(address, False) for address in dns if address != ADDRESS)


def _inherited(nameservers: Sequence[str], *, ipv6: bool) -> tuple[Upstream, ...]:
    """The host's own servers: those that the container can't reach are asked from the host."""
    found = [Upstream(address, _is_for_host(address, ipv6=ipv6)) for address in nameservers]
    return tuple(found) or tuple(Upstream(address, False) for address in resolvconf.FALLBACK_NAMESERVERS)


def _is_for_host(address: str, *, ipv6: bool) -> bool:
    parsed = ip_address(address)
    return parsed.is_loopback or "%" in address or (parsed.version == 6 and not ipv6)


def _number(option: str) -> int:
    """The dots that an `ndots` asks for; -1 where that is no number."""
    text = option.partition(":")[2]
    return int(text) if text.isascii() and text.isdigit() and len(text) < _LONGEST else -1
