"""The embedded NATS server: finding it, its port and passwords, starting it, knowing when it serves."""

import dataclasses
import json
import os
import re
import secrets
import shutil
import socket
import subprocess
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

from seaway_bus.node_keys import check_public_key
from seaway_cli.accounts import SUITE
from seaway_cli.errors import CliError
from seaway_cli.hosts import LOOPBACK, Listen
from seaway_cli.layout import Layout
from seaway_cli.nats_config import NatsServer, render
from seaway_cli.permissions import USERS, agent_user, node_of
from seaway_cli.suite import Suite
from seaway_cli.supervisor import ServiceSpec
from seaway_contracts.ids import check_node
from seaway_contracts.users import BusUser, is_sound
from seaway_kit.addresses import nats_endpoints
from seaway_kit.private_files import write_private

_FIRST_PORT: Final = 14222  # below the range from which the kernel gives ports to outgoing connections
_PORTS: Final = 10_000
_PROBE_S: Final = 0.2
_OLDEST: Final = (2, 10)  # the first with `sync_interval: always`: acknowledged means on disk


def find_program() -> str:
    """The path of nats-server; raises CliError if there is none, or one that is too old."""
    found = shutil.which("nats-server", path=f"{os.environ.get('PATH', '')}:/usr/sbin:/usr/local/sbin")
    if found is None:
        raise CliError("nats-server is missing: install the Debian package nats-server, or give --nats URL")
    check_version(found)
    return found


def check_version(program: str) -> None:
    """Raise CliError if that nats-server is too old (a version that can't be read passes)."""
    try:
        said = subprocess.run([program, "--version"], capture_output=True, text=True, timeout=10, check=False).stdout
    except (OSError, subprocess.TimeoutExpired) as error:
        raise CliError(f"{program} can't be run: {error}") from None
    version = re.search(r"v(\d+)\.(\d+)", said)
    if version and (int(version[1]), int(version[2])) < _OLDEST:
        raise CliError(
            f"{program} is {said.strip()}: Seaway needs 2.10 or newer, which can write to disk before it acknowledges;"
            " ./dev up installs one, or give --nats URL"
        )


def is_free(port: int, host: str = LOOPBACK) -> bool:
    """Whether a server could listen on this port of an address now."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError:
            return False
    return True


def check_own(host: str) -> None:
    """Raise CliError unless it is an address of this machine."""
    if not is_free(0, host):
        raise CliError(f"--listen {host} is no address of this machine")


def wait_until_free(port: int, wait_s: float, host: str = LOOPBACK) -> bool:
    """Whether the port is free, or becomes so within that time (a former server may be on its way out)."""
    deadline = time.monotonic() + wait_s
    while not is_free(port, host):
        if time.monotonic() > deadline:
            return False
        time.sleep(0.05)
    return True


def choose_port(suite: Suite, host: str = LOOPBACK) -> int:
    """The suite's own port: the one that it had before, or the first free one from a place that its token gives."""
    if suite.nats_port and wait_until_free(suite.nats_port, 1.0, host):
        return suite.nats_port
    start = int(suite.token, 16) % _PORTS
    for step in range(_PORTS):
        port = _FIRST_PORT + (start + step) % _PORTS
        if is_free(port, host):
            return port
    raise CliError("no port is free for NATS: give one with --nats-port")


def with_port(suite: Suite, asked: int | None, host: str = LOOPBACK) -> Suite:
    """The suite with the port that its NATS server gets; raises CliError if the one asked for is taken."""
    if asked is None:
        return dataclasses.replace(suite, nats_port=choose_port(suite, host))
    if not wait_until_free(asked, 1.0, host):
        raise CliError(f"port {asked} for NATS is taken by another program: stop that, or give another --nats-port")
    return dataclasses.replace(suite, nats_port=asked)


def passwords(layout: Layout, node: str) -> dict[str, str]:
    """Each user's password; made where missing, kept in files that only root can read. `node`: the suite's own."""
    layout.secrets.chmod(0o700)
    users = {*USERS, agent_user(node), *(agent_user(other) for other in nodes(layout))}
    return {user: password(layout.secret(user)) for user in sorted(users)}


def nodes(layout: Layout) -> list[str]:
    """The nodes whose agents are let in: the own ones, and those that were added."""
    return sorted(node for path in layout.secrets.iterdir() if (node := node_of(path.name)))


def node_keys(file: Path) -> dict[str, str]:
    """The public keys of nodes that joined, by node. Without a file there are none: metadata makes it anew.

    One key that is damaged or there twice would keep the server from taking up the whole configuration, so it is left
    out.
    """
    try:
        found = json.loads(file.read_bytes())
    except (FileNotFoundError, ValueError):
        return {}
    found = found.get("nodes") if isinstance(found, dict) else None
    good = isinstance(found, dict) and all(isinstance(key, str) for key in found.values())
    if not isinstance(found, dict) or not good:
        return {}
    first = {key: node for node, key in reversed(found.items()) if _fits(node, key)}
    return {node: key for node, key in found.items() if first.get(key) == node}


def readers(file: Path) -> tuple[BusUser, ...]:
    """The users of the bus, which stand in the same file. A damaged one is left out, and one whose key is another's."""
    try:
        found = json.loads(file.read_bytes())["users"]
        given = [BusUser.model_validate(one) for one in found]
    except (FileNotFoundError, ValueError, TypeError, KeyError):
        return ()
    taken, good = set(node_keys(file).values()), []
    for user in given:
        if is_sound(user) and _fits(user.name, user.public_key) and user.public_key not in taken:
            taken.add(user.public_key)
            good.append(user)
    return tuple(good)


def _fits(node: str, key: str) -> bool:
    try:
        return check_node(node) == node and check_public_key(key) == key
    except ValueError:
        return False


def password(path: Path) -> str:
    """What the file holds; made if it isn't there. Raises OSError."""
    try:
        if text := path.read_text().strip():
            return text
    except FileNotFoundError:
        pass
    text = secrets.token_urlsafe(24)
    _replace_private(path, text + "\n")
    return text


def _replace_private(path: Path, text: str) -> None:
    part = path.with_name(path.name + ".part")
    write_private(part, text.encode())
    part.replace(path)


def prepare(layout: Layout, suite: Suite, node: str, listen: Listen) -> None:
    """Write the server's configuration. Raises OSError."""
    layout.secret("agent").unlink(missing_ok=True)  # once the user of all nodes
    _take_over_store(layout.nats_store)
    secrets_of = passwords(layout, node)
    added = {node, *nodes(layout)}  # a token is no way to the name of a node that has a password
    keys = {other: key for other, key in node_keys(layout.node_keys).items() if other not in added}
    token, users = suite.token, readers(layout.node_keys)
    server = NatsServer(f"seaway-{token}", suite.nats_port, layout.nats_store, secrets_of, listen, keys, users)
    _replace_private(layout.nats_config, render(server))


def _take_over_store(store: Path) -> None:
    """What a server stored that had no accounts yet becomes the suite's. Raises OSError."""
    old, new = (store / "jetstream" / name for name in ("$G", SUITE))
    if old.exists() and not new.exists():
        old.rename(new)


def spec(program: str, layout: Layout, host: str, port: int, share: Sequence[int]) -> ServiceSpec:
    """The server as a process to supervise; it too holds the locks `share`."""

    def run() -> int:
        for fd in share:
            os.set_inheritable(fd, True)
        os.execve(program, [program, "--config", str(layout.nats_config)], environment(os.environ, os.cpu_count() or 1))

    return ServiceSpec("nats", run, lambda: serves(host, port))


def environment(ours: Mapping[str, str], processors: int) -> dict[str, str]:
    """The server's. Before it sleeps, Go looks for work on behalf of each processor that it may use, and a server of
    small messages does so all the time: half of them are enough, unless whoever started us has said how many.
    """
    return {"GOMAXPROCS": str(max(1, processors // 2)), **ours}


def serves(host: str, port: int) -> bool:
    """Whether a NATS server answers there (it greets with INFO)."""
    try:
        with socket.create_connection((host, port), _PROBE_S) as connection:
            return connection.recv(5).startswith(b"INFO")
    except OSError:
        return False


def check_outside(url: str) -> None:
    """Raise CliError unless one of the servers at `url` answers."""
    try:
        servers = nats_endpoints(url)
    except ValueError as error:
        raise CliError(f"--nats: {error}", exit_code=2) from None
    for host, port in servers:
        try:
            socket.create_connection((host, port), 2.0).close()
            return
        except OSError:
            continue
    host, port = servers[0]
    raise CliError(f"no NATS server answers at {host}:{port}: start it, or leave --nats out to get one")
