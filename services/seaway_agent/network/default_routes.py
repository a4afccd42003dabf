"""The default routes of a running container: over the first of its endpoints by rank that has a gateway."""

import logging
from ipaddress import IPv4Address, IPv6Address

from seaway_agent.network import rtnetlink
from seaway_agent.network.errors import NetlinkError
from seaway_agent.network.sandbox import Sandbox

_log = logging.getLogger(__name__)


def replace_default_routes(sandbox: Sandbox, netns_fd: int) -> None:
    """Set the default routes of the sandbox's endpoints, in place of others. What can't be set is logged.

    A process may have renamed its interfaces, or taken them down.
    """
    _set(sandbox, netns_fd, replace=True)


def fill_default_routes(sandbox: Sandbox, netns_fd: int) -> None:
    """Set the default routes that are missing, as after the end of the interface that they led over."""
    _set(sandbox, netns_fd, replace=False)


def _set(sandbox: Sandbox, netns_fd: int, *, replace: bool) -> None:
    wanted = _wanted(sandbox)
    if not wanted:
        return
    try:
        with rtnetlink.open_interfaces(netns_fd) as inner:
            for interface, gateway in wanted:
                try:
                    inner.route_by(interface, gateway, replace=replace)
                except NetlinkError as error:
                    _log.warning("a container has no default route over %s: %s", interface, error)
    except OSError as error:
        _log.warning("the default routes of a container can't be set: %s", error)


def _wanted(sandbox: Sandbox) -> list[tuple[str, IPv4Address | IPv6Address]]:
    """Interface and gateway of each family's route."""
    first, first6 = sandbox.gateway, sandbox.gateway6
    found: list[tuple[str, IPv4Address | IPv6Address]] = []
    if first is not None and first.info.gateway is not None:
        found.append((first.info.interface, first.info.gateway))
    if first6 is not None and first6.info.gateway6 is not None:
        found.append((first6.info.interface, first6.info.gateway6))
    return found
