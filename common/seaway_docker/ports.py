"""Ports of containers: `80/tcp`, ranges, and the PortBindings of a create request (docker/go-connections/nat)."""

import ipaddress
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from seaway_docker.errors import InvalidParameter
from seaway_docker.model_host import PortBinding

PROTOCOLS = frozenset(("tcp", "udp", "sctp"))
_NUMBER = re.compile(r"[0-9]{1,18}")
_HIGHEST = 65535


@dataclass(frozen=True, slots=True, order=True)
class Port:
    """A container's port; its text is the key in Docker's maps."""

    number: int
    protocol: str = "tcp"

    def __str__(self) -> str:
        return f"{self.number}/{self.protocol}"


@dataclass(frozen=True, slots=True)
class HostBinding:
    """A container's port published on the host: one port of `first`..`last`, any free one if both are 0.

    An empty `host_ip` means all addresses.
    """

    port: Port
    host_ip: str
    first: int
    last: int


def is_ip_address(text: str) -> bool:
    """Whether Go's net.ParseIP takes it: IPv4 or IPv6, without a zone."""
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return "%" not in text


def split_proto_port(text: str) -> tuple[str, str]:
    """`80/udp` -> (`udp`, `80`); the protocol is tcp unless given."""
    number, _, rest = text.partition("/")
    if not number:
        return "", ""
    return rest.partition("/")[0] or "tcp", number


def parse_port_range(text: str) -> tuple[int, int]:
    """`80` -> (80, 80), `80-90` -> (80, 90). Raises InvalidParameter."""
    if not text:
        raise InvalidParameter("Empty string specified for ports.")
    first_text, dash, last_text = text.partition("-")
    first = _number(first_text)
    last = _number(last_text) if dash else first
    if last < first:
        raise InvalidParameter(f"Invalid range specified for the Port: {text}")
    return first, last


def parse_port(text: str) -> Port:
    """`80/tcp` or `80`. Raises InvalidParameter for ranges, port 0 and unknown protocols."""
    protocol, number_text = split_proto_port(text)
    protocol = protocol.lower()
    if protocol not in PROTOCOLS or text.count("/") > 1:
        raise _invalid_port(text)
    try:
        number = _number(number_text)
    except InvalidParameter as error:
        raise _invalid_port(number_text) from error
    if number == 0:
        raise _invalid_port(text)
    return Port(number, protocol)


def exposed_ports(texts: Iterable[str]) -> tuple[Port, ...]:
    """The keys of ExposedPorts; ranges (`8000-8010/tcp`) are spread. Raises InvalidParameter."""
    ports: dict[Port, None] = {}
    for text in texts:
        protocol, number_text = split_proto_port(text)
        try:
            first, last = parse_port_range(number_text)
        except InvalidParameter as error:
            raise _invalid_port(text) from error
        ports.update((parse_port(f"{number}/{protocol}"), None) for number in range(first, last + 1))
    return tuple(ports)


def host_bindings(port_bindings: Mapping[str, Sequence[PortBinding] | None]) -> tuple[HostBinding, ...]:
    """Validate and flatten HostConfig.PortBindings. Raises InvalidParameter with Docker's text."""
    return tuple(
        _host_binding(port, binding)
        for text, bindings in port_bindings.items()
        for port in (parse_port(text),)
        for binding in bindings or ()
    )


def _host_binding(port: Port, binding: PortBinding) -> HostBinding:
    first = last = 0
    if binding.host_port:
        try:
            first, last = parse_port_range(binding.host_port)
        except InvalidParameter as error:
            raise _invalid_port(binding.host_port) from error
    if last and not first:
        raise _invalid_port(binding.host_port)
    if binding.host_ip and not is_ip_address(binding.host_ip):
        raise InvalidParameter(f"invalid IP address: {binding.host_ip}")
    return HostBinding(port, binding.host_ip, first, last)


def _number(text: str) -> int:
    if _NUMBER.fullmatch(text) is None:
        raise InvalidParameter(f'strconv.ParseUint: parsing "{text}": invalid syntax')
    number = int(text)
    if number > _HIGHEST:
        raise InvalidParameter(f'strconv.ParseUint: parsing "{text}": value out of range')
    return number


def _invalid_port(text: str) -> InvalidParameter:
    return InvalidParameter(f'invalid port specification: "{text}"')
