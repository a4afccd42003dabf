"""A container's /etc/hosts, as Docker writes it. Pure."""

from collections.abc import Iterable, Sequence
from ipaddress import ip_address

from seaway_agent.network.errors import NetworkError

HOST_GATEWAY = "host-gateway"
_LOCAL = (
    ("127.0.0.1", "localhost"),
    ("::1", "localhost ip6-localhost ip6-loopback"),
    ("fe00::0", "ip6-localnet"),
    ("ff00::0", "ip6-mcastprefix"),
    ("ff02::1", "ip6-allnodes"),
    ("ff02::2", "ip6-allrouters"),
)


def parse_extra_host(text: str, gateway: str) -> tuple[str, str]:
    """``(address, name)`` of an ``--add-host`` value: ``NAME:ADDRESS`` or ``NAME=ADDRESS``.

    The address may be ``host-gateway``, which stands for ``gateway``. Raises NetworkError for anything else.
    """
    positions = [at for at in (text.find(":"), text.find("=")) if at > 0]
    if not positions:
        raise NetworkError(f"bad format for add-host: {text!r}: write NAME:ADDRESS")
    at = min(positions)
    name, address = text[:at], text[at + 1 :].removeprefix("[").removesuffix("]")
    if address == HOST_GATEWAY:
        address = gateway
    try:
        return str(ip_address(address)), name
    except ValueError as error:
        raise NetworkError(f"invalid IP address in add-host: {address!r}") from error


def hosts_file(
    *,
    hostname: str,
    domainname: str = "",
    addresses: Sequence[str] = (),
    extra_hosts: Iterable[str] = (),
    gateway: str = "",
    links: Iterable[tuple[str, str]] = (),
    host_file: str | None = None,
) -> str:
    """The whole file: Docker's fixed lines, the extra hosts, linked containers, then the container's own names.

    ``addresses`` are the container's; without any (``--network none``) its names aren't listed, as in Docker. With
    ``--network host`` the file of the host (``host_file``) stands in place of the fixed lines.
    """
    lines = [parse_extra_host(extra, gateway) for extra in extra_hosts]
    lines += links
    if host_file is None:
        lines, host_file = [*_LOCAL, *lines], ""
    added = [f"{address}\t{name}\n" for address, name in lines]
    own = own_lines(hostname, domainname, addresses)
    return with_more(host_file, [*added, *own])


def own_lines(hostname: str, domainname: str, addresses: Iterable[str]) -> list[str]:
    """The lines with which a container finds its own names, one for each of its addresses."""
    whole = f"{hostname}.{domainname}" if domainname else hostname
    first, dot, _ = whole.partition(".")
    names = f"{whole} {first}" if dot else whole
    return [f"{address}\t{names}\n" for address in addresses]


def with_lines(text: str, lines: Iterable[str]) -> str:
    """The file with these lines at its end, unless it has them. What the container has written itself stays."""
    there = text.splitlines(keepends=True)
    return with_more(text, [line for line in lines if line not in there])


def with_more(text: str, lines: Iterable[str]) -> str:
    """The file with these lines at its end."""
    whole = text if not text or text.endswith("\n") else f"{text}\n"
    return whole + "".join(lines)


def without_lines(text: str, lines: Iterable[str]) -> str:
    """The file without these lines."""
    gone = set(lines)
    return "".join(line for line in text.splitlines(keepends=True) if line not in gone)


def with_address(text: str, names: str, address: str) -> str:
    """The file with this address in the lines that have exactly these names: a linked container has moved."""
    return "".join(
        f"{address}\t{names}\n" if line.partition("\t")[2] == f"{names}\n" else line
        for line in text.splitlines(keepends=True)
    )


def hostname_file(hostname: str) -> str:
    """Content of /etc/hostname."""
    return f"{hostname}\n"
