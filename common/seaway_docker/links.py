"""Legacy links between containers of the default bridge: `container:alias` (docker/cli opts, moby daemon/links).

What a linked container looks like from inside: variables such as `DB_PORT_5432_TCP`, and a line in /etc/hosts.
"""

import posixpath
from collections.abc import Iterable
from dataclasses import dataclass

from seaway_docker.errors import InvalidParameter
from seaway_docker.ports import Port

# Variables of the linked container that are its own affair.
_PRIVATE = frozenset(("HOME", "PATH"))


def parse_link(text: str) -> tuple[str, str]:
    """`container:alias`, or `/container:/holder/alias` as inspect shows it -> (container, alias).

    Raises InvalidParameter.
    """
    if not text:
        raise InvalidParameter("empty string specified for links")
    container, colon, alias = text.partition(":")
    if ":" in alias:
        raise InvalidParameter(f"bad format for links: {text}")
    if not colon:
        return container, posixpath.basename(container)
    if container.startswith("/"):
        return container[1:], posixpath.basename(alias)
    return container, alias


@dataclass(frozen=True, slots=True)
class LinkedContainer:
    """The other side of a link: its address, exposed ports and environment. `holder` is who has the link."""

    holder: str
    alias: str
    address: str
    ports: tuple[Port, ...]
    env: tuple[str, ...]


def link_prefix(alias: str) -> str:
    """How the names of a link's variables begin."""
    return alias.replace("-", "_").upper()


def link_environment(link: LinkedContainer) -> list[str]:
    """The variables that a link sets, in Docker's order."""
    prefix = link_prefix(link.alias)
    ports = sorted(link.ports, key=lambda port: (port.number, port.protocol != "tcp"))
    lines = [f"{prefix}_PORT={_url(link.address, ports[0])}"] if ports else []
    for run in _runs(ports):
        lines += _run_lines(prefix, link.address, run)
    for port in ports:
        lines += _port_lines(prefix, link.address, port)
    lines.append(f"{prefix}_NAME=/{link.holder}/{link.alias}")
    own = [item for item in link.env if "=" in item and item.partition("=")[0] not in _PRIVATE]
    return lines + [f"{prefix}_ENV_{item}" for item in own]


def _url(address: str, port: Port) -> str:
    return f"{port.protocol}://{address}:{port.number}"


def _port_lines(prefix: str, address: str, port: Port) -> list[str]:
    name = f"{prefix}_PORT_{port.number}_{port.protocol.upper()}"
    return [
        f"{name}={_url(address, port)}",
        f"{name}_ADDR={address}",
        f"{name}_PORT={port.number}",
        f"{name}_PROTO={port.protocol}",
    ]


def _run_lines(prefix: str, address: str, run: list[Port]) -> list[str]:
    first, last = run[0], run[-1]
    name = f"{prefix}_PORT_{first.number}_{first.protocol.upper()}"
    return [
        f"{name}_START={_url(address, first)}",
        f"{name}_PORT_START={first.number}",
        f"{name}_END={_url(address, last)}",
        f"{name}_PORT_END={last.number}",
    ]


def _runs(ports: Iterable[Port]) -> list[list[Port]]:
    """Ports that follow one another, two or more."""
    runs: list[list[Port]] = []
    for port in sorted(ports, key=lambda port: (port.protocol, port.number)):
        last = runs[-1][-1] if runs else None
        if last is not None and (last.protocol, last.number + 1) == (port.protocol, port.number):
            runs[-1].append(port)
        else:
            runs.append([port])
    return [run for run in runs if len(run) > 1]
