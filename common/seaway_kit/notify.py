"""Reports readiness: to the supervisor through a pipe, to systemd through its socket (sd_notify(3))."""

import json
import logging
import os
import socket
from collections.abc import Mapping, MutableMapping
from types import MappingProxyType

READY_FD = "SEAWAY_READY_FD"
log = logging.getLogger(__name__)


def tell_supervisor(
    service: str,
    metrics_url: str,
    env: MutableMapping[str, str] = os.environ,
    *,
    addresses: Mapping[str, str] = MappingProxyType({}),
) -> None:
    """Write one JSON line to the descriptor that SEAWAY_READY_FD names, close it, and drop the variable.

    `addresses`: what else the service has for users, and where.
    """
    number = env.pop(READY_FD, "")
    if not number.isdigit():
        return
    line = json.dumps({"service": service, "pid": os.getpid(), "metrics": metrics_url} | dict(addresses)) + "\n"
    try:
        os.write(int(number), line.encode())
        os.close(int(number))
    except OSError as error:
        log.warning("could not report readiness to the supervisor: %s", error)


class Systemd:
    """systemd's notification socket; does nothing if systemd did not start the process."""

    def __init__(self, env: MutableMapping[str, str] = os.environ) -> None:
        self._address = env.get("NOTIFY_SOCKET", "")
        self._watchdog_us = _watchdog_us(env)

    @property
    def ping_interval_s(self) -> float | None:
        """Half of the unit's WatchdogSec, or None where it has none."""
        return self._watchdog_us / 2e6 if self._address and self._watchdog_us else None

    def send(self, state: str) -> None:
        """Send `READY=1`, `STOPPING=1` or `WATCHDOG=1`."""
        if not self._address:
            return
        address = "\0" + self._address[1:] if self._address.startswith("@") else self._address
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as sock:
                sock.setblocking(False)
                sock.sendto(state.encode(), address)
        except OSError as error:
            log.warning("could not notify systemd of %s: %s", state, error)


def _watchdog_us(env: MutableMapping[str, str]) -> int:
    """WATCHDOG_USEC, unless WATCHDOG_PID says that it is meant for another process."""
    meant_for = env.get("WATCHDOG_PID", "")
    text = env.get("WATCHDOG_USEC", "")
    if meant_for and meant_for != str(os.getpid()):
        return 0
    return int(text) if text.isdigit() else 0
