"""`seaway node add` and `rm`: users at the embedded NATS server for the agents of other nodes."""

import shlex
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from seaway_bus.ask_once import ask_once
from seaway_cli import commands, control, nats_server, suite
from seaway_cli.errors import CliError, usage
from seaway_cli.layout import Layout
from seaway_cli.nats_login import Login, operator
from seaway_cli.permissions import API, agent_user
from seaway_cli.tokens import Cluster
from seaway_contracts.base import Empty
from seaway_contracts.catalogue import ANNOUNCE_NODE, KNOWN_CONTAINERS, LIST_IDENTITIES, REMOVE_NODE
from seaway_contracts.channels import CallChannel, Q, R
from seaway_contracts.errors import Code, SeawayError
from seaway_contracts.nodes import AddedNode, RemoveNode

_RELOAD_S: Final = 20.0
"""A server with the accounts of a thousand nodes takes some seconds for two reloads on a busy machine."""
_POLL_S: Final = 0.05
_AGAIN_S: Final = 2.0


@dataclass(frozen=True)
class Removed:
    """`containers`: how many containers' records are gone; `to_do`: what somebody must still do, or ``""``."""

    containers: int
    to_do: str = ""


def add(layout: Layout, node: str) -> str:
    """Make the node's user, if there is none; how to start its agent. Raises CliError."""
    user, status = _user(node), _status(layout)
    if not status["own_nats"]:
        raise CliError(
            f"the NATS server of this suite is an outside one ({status['nats']}): its owner makes users there, by "
            "deploy/nats/make-users; or use `seaway token create`"
        )
    if node == status["node"]:
        raise CliError(f"{node} is the node of this machine, and its agent runs already: give the new one another name")
    if node in nats_server.node_keys(layout.node_keys):
        raise CliError(f"{node} has joined by a token, and has a key: `seaway node rm {node}` first")
    secret = layout.secret(user)
    new = not secret.exists()
    password = nats_server.password(secret)
    try:
        _let_in(layout, status, node, password)
    except BaseException:
        if new:
            secret.unlink(missing_ok=True)
        raise
    unsaid = _announce(layout, status, node) if new else ""
    return unsaid + _how_to_start(status, node, secret)


def remove(layout: Layout, node: str, *, force: bool) -> Removed:
    """Remove the node's records and its user, so that its agent is cut off. Raises CliError."""
    user, status = _user(node), _status(layout)
    if node == status["node"]:
        raise CliError(f"{node} is the node of this machine: `seaway down` stops its agent")
    if not status["own_nats"]:
        return remove_outside(Cluster.of(layout), node, force=force)
    secret = layout.secret(user)
    added = secret.exists()
    removed = _remove_records(layout, status, RemoveNode(node=node, force=force), or_none=added)
    if added:
        login = _login(status, user, nats_server.password(secret))
        secret.unlink()
        _shut_out(layout, login)
    else:  # it has a key, or an attempt before this one failed half-way
        _forget_key(layout, node)
    return Removed(removed)


def remove_outside(cluster: Cluster, node: str, *, force: bool) -> Removed:
    """Remove the node's records and its identity. Only the owner of an outside server can remove its user.

    Metadata ignores the agent that runs; the next one would be a new node until then. Raises CliError.
    """
    user = _user(node)
    joined = {one.node for one in cluster.ask(LIST_IDENTITIES, Empty()).identities}
    removed = cluster.ask(REMOVE_NODE, RemoveNode(node=node, force=force)).containers
    if cluster.passwords is None:
        return Removed(removed)
    first = "" if node in joined else f"removes {cluster.passwords / user}, "
    return Removed(
        removed,
        f"The NATS server at {cluster.url} still lets the agent of {node} in, and it would be a node again at its next "
        f"start. The server's owner {first}runs deploy/nats/make-users with the nodes that stay "
        "(`seaway node keys` lists those with keys), and reloads the server: deploy/README.md.",
    )


def _remove_records(layout: Layout, status: dict[str, Any], request: RemoveNode, *, or_none: bool) -> int:
    """How many containers' records went. `or_none`: that there are no records of the node is no error."""
    # As the API's user: that of the command line is also subscribers', who change nothing.
    api = _login(status, API, nats_server.password(layout.secret(API)))
    try:
        reply = _ask(api, REMOVE_NODE, request)
    except SeawayError as error:
        if error.code is Code.NOT_FOUND and or_none:
            return 0
        raise CliError(error.message) from None
    return reply.containers


def _announce(layout: Layout, status: dict[str, Any], node: str) -> str:
    """Have an event say that the node was let in; a sentence where that failed: the node is in all the same."""
    api = _login(status, API, nats_server.password(layout.secret(API)))
    try:
        _ask(api, ANNOUNCE_NODE, AddedNode(node=node))
    except SeawayError as error:
        return f"No event says that {node} was let in: {error.message}.\n"
    return ""


def _ask(api: Login, channel: CallChannel[Q, R], request: Q) -> R:
    return ask_once(channel, request, url=api.url, user=api.user, password=api.password, ca=api.ca, actor=operator())


def _user(node: str) -> str:
    try:
        return agent_user(node)
    except ValueError as error:
        raise usage(str(error)) from None


def _status(layout: Layout) -> dict[str, Any]:
    """Of the suite, which must run."""
    suite.identify(layout)
    status = commands.status(layout.run)
    if status["root"] != str(layout.root):
        raise CliError(f"the suite in {layout.run} has another root directory: pass --root {status['root']}")
    return status


def _reload(layout: Layout) -> None:
    try:
        answer = control.ask(layout.control, "reload")
    except control.NotRunning as error:
        raise CliError(str(error)) from None
    if "error" in answer:
        raise CliError(f"NATS could not be told: {answer['error']}")


def _let_in(layout: Layout, status: dict[str, Any], node: str, password: str) -> None:
    """A server connects an account that a reload has brought to the others at the next one (nats-server 2.10)."""
    login, deadline = _login(status, agent_user(node), password), time.monotonic() + _RELOAD_S
    asked = KNOWN_CONTAINERS.subject(node)
    _reload(layout)
    reload_at = 0.0
    while not login.reaches(asked):
        _wait(deadline)
        if time.monotonic() >= reload_at and login.works():
            _reload(layout)
            reload_at = time.monotonic() + _AGAIN_S


def _forget_key(layout: Layout, node: str) -> None:
    """Wait until metadata has taken the node's key out of the file, and have the server end its connections."""
    deadline = time.monotonic() + _RELOAD_S
    while node in nats_server.node_keys(layout.node_keys):
        if time.monotonic() > deadline:
            raise CliError(
                f"the records of {node} are gone, but metadata has not removed its key from {layout.node_keys}: "
                "see the suite's log/metadata.log, and give the same command again"
            )
        time.sleep(_POLL_S)
    _reload(layout)


def _shut_out(layout: Layout, login: Login) -> None:
    deadline = time.monotonic() + _RELOAD_S
    _reload(layout)
    while login.works():
        _wait(deadline)


def _login(status: dict[str, Any], user: str, password: str) -> Login:
    return Login(status["nats"], user, password, Path(status["nats_ca"]) if status["nats_ca"] else None)


def _wait(deadline: float) -> None:
    if time.monotonic() > deadline:
        raise CliError("the NATS server has not taken up the change: see the suite's log/nats.log")
    time.sleep(_POLL_S)


def _how_to_start(status: dict[str, Any], node: str, secret: Path) -> str:
    words = ["seaway-agent", "--node", node, "--nats", status["nats"], "--nats-user", agent_user(node)]
    words += ["--nats-password-file", str(secret)]
    files = str(secret)
    if status["nats_ca"]:
        words += ["--nats-ca", status["nats_ca"]]
        files += f" and {status['nats_ca']}"
        where = f"On its machine, with copies of {files} (and their paths in the command):"
    else:
        where = "NATS listens on this machine only (`seaway up --listen ADDRESS` opens it to others). Here:"
    return f"The agent of {node} is let in. {where}\n  {shlex.join(words)}"
