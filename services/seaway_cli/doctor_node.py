"""`seaway doctor` on a machine that joined: what it can't reach, and whether its clock and version agree."""

import socket
import time
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from seaway_bus.ask_once import ask_once
from seaway_cli.doctor_finding import Finding, fail, ok
from seaway_cli.errors import CliError
from seaway_cli.layout import Layout
from seaway_cli.nats_login import Login
from seaway_contracts.base import Empty
from seaway_contracts.catalogue import CHECK_NODE, NODE_BLOB_ENDPOINT
from seaway_contracts.channels import CallChannel, R
from seaway_contracts.errors import SeawayError
from seaway_contracts.joining import NodeCheck
from seaway_contracts.version import VERSION
from seaway_kit import tls
from seaway_kit.addresses import nats_endpoints

_REACH_S: Final = 3.0
_FAR_S: Final = 2.0
_ON_SUITE: Final = "run `seaway doctor` on the suite's machine"
_PORTS: Final = {"http": 80, "https": 443}


@dataclass(frozen=True)
class Node:
    """How this machine's agent logs in."""

    name: str
    url: str
    login: Login

    @classmethod
    def of(cls, layout: Layout) -> "Node":
        """From the settings that `seaway join` has written. Raises CliError."""
        file = layout.agent_config
        try:
            values = tomllib.loads(file.read_text())
            seed = Path(values["nats_nkey_file"]).read_text().strip()
            ca = Path(values["nats_ca"]) if "nats_ca" in values else None
            login = Login(values["nats"], values["nats_user"], ca=ca, seed=seed)
            return cls(values["node"], values["nats"], login)
        except FileNotFoundError as error:
            raise CliError(f"this machine has not joined: {error.filename} is missing (`seaway join`)") from None
        except (OSError, ValueError, KeyError) as error:
            raise CliError(f"{file} can't be read: {error}") from None

    def ask(self, channel: CallChannel[Empty, R]) -> R:
        """Ask a service as this node. Raises SeawayError."""
        login = self.login
        return ask_once(channel, Empty(), url=self.url, user=login.user, ca=login.ca, seed=login.seed, node=self.name)


def examine(node: Node) -> Iterator[Finding]:
    """Run the checks. They end at the first failure on which all others depend."""
    servers = [_server(host, port) for host, port in nats_endpoints(node.url)]
    yield from servers
    if not any(finding.level == "ok" for finding in servers):
        return
    if trouble := node.login.trouble():
        todo = "if the node was removed (`seaway node ls` on the suite's machine): seaway purge, then seaway join"
        yield fail("login", trouble, todo)
        return
    yield ok("login", f"NATS lets {node.name} in")
    try:
        asked = time.time_ns()
        check = node.ask(CHECK_NODE)
    except SeawayError as error:
        yield fail("metadata", f"the metadata service does not answer: {error.message}", _ON_SUITE)
    else:
        yield ok("metadata", "the metadata service answers")
        yield from _compared(check, asked, time.time_ns())
    yield _images(node)


def _server(host: str, port: int) -> Finding:
    trouble = unreachable(host, port)
    if trouble:
        text = f"no NATS server can be reached at {host}:{port} ({trouble})"
        return fail("nats", text, f"start it, or let this machine through to {host}:{port} (firewall, route)")
    return ok("nats", f"{host}:{port} can be reached")


def _compared(check: NodeCheck, asked_ns: int, answered_ns: int) -> Iterator[Finding]:
    """Clock and version. The cluster's clock was read between the two times."""
    off = max(asked_ns - check.time_ns, check.time_ns - answered_ns, 0) / 1e9
    fast = "ahead of" if asked_ns > check.time_ns else "behind"
    if off > _FAR_S:
        text = f"this machine's clock is {off:.0f} s {fast} the cluster's"
        yield fail("clock", text, "set it right: install chrony on all machines")
    else:
        yield ok("clock", "the clock agrees with the cluster's")
    if check.version == VERSION:
        yield ok("version", f"both run Seaway {VERSION}")
    else:
        text = f"the cluster runs Seaway {check.version}, this machine {VERSION}"
        yield fail("version", text, "install the cluster's version here")


def _images(node: Node) -> Finding:
    try:
        url = node.ask(NODE_BLOB_ENDPOINT).url
    except SeawayError as error:
        return fail("images", f"the image service does not answer: {error.message}", _ON_SUITE)
    parts = urlsplit(url)
    host, port = parts.hostname or "", parts.port or _PORTS.get(parts.scheme, 0)
    trouble = unreachable(host, port, node.login.ca if parts.scheme == "https" else None)
    if trouble:
        text = f"images can't be fetched from {url} ({trouble})"
        return fail("images", text, "see to it that this machine reaches that address (firewall, route, CA)")
    return ok("images", f"{url} can be reached")


def unreachable(host: str, port: int, ca: Path | None = None) -> str:
    """Why nothing answers there; empty where something does, with a certificate of that CA if one is given."""
    try:
        with socket.create_connection((host, port), _REACH_S) as plain:
            if ca is not None:
                tls.trusting(ca).wrap_socket(plain, server_hostname=host).close()
    except OSError as error:
        return error.strerror or str(error) or type(error).__name__
    return ""
