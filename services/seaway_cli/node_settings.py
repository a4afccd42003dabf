"""Asks metadata for the nodes of the cluster, and changes their settings and the cluster's."""

from collections.abc import Mapping, Sequence
from math import isfinite
from pathlib import Path

from pydantic import ValidationError

from seaway_bus.ask_once import ask_once
from seaway_cli import commands, suite
from seaway_cli.errors import CliError, describe, usage
from seaway_cli.layout import Layout
from seaway_cli.nats_login import Login, operator
from seaway_cli.permissions import API, CLI, agent_user
from seaway_contracts.base import Empty
from seaway_contracts.catalogue import LIST_IDENTITIES, LIST_NODES, UPDATE_CLUSTER, UPDATE_NODE
from seaway_contracts.channels import CallChannel, Q, R
from seaway_contracts.errors import SeawayError
from seaway_contracts.joining import NodeIdentity
from seaway_contracts.node_settings import (
    Availability,
    ClusterSettings,
    NodeSettings,
    ReservedChange,
    UpdateCluster,
    UpdateNode,
)
from seaway_contracts.nodes import CORE, NodeRecord
from seaway_docker.log_options import parse_size


def nodes(layout: Layout, names: Sequence[str] | None = None) -> list[NodeRecord]:
    """All nodes by name, or those that are named, in that order. Raises CliError."""
    found = ask(layout, CLI, LIST_NODES, Empty()).nodes
    if names is None:
        return list(found)
    by_name = {record.node: record for record in found}
    if missing := [name for name in names if name not in by_name]:
        raise CliError(f"no such node: {missing[0]}; `seaway node ls` lists them")
    return [by_name[name] for name in names]


def identities(layout: Layout) -> dict[str, NodeIdentity]:
    """By node, of those that joined by a token. Raises CliError."""
    return {one.node: one for one in ask(layout, API, LIST_IDENTITIES, Empty()).identities}


def label(layout: Layout, node: str, words: Sequence[str]) -> NodeSettings:
    """Set and remove labels; the node's settings after that. Raises CliError."""
    labels, removed = parse_labels(words)
    return _update(layout, UpdateNode(node=node, labels=labels, removed_labels=removed))


def make_available(layout: Layout, node: str, availability: Availability) -> NodeSettings:
    """Set whether the node gets new containers; its settings after that. Raises CliError."""
    return _update(layout, UpdateNode(node=node, availability=availability))


def reserve(layout: Layout, node: str, memory: str | None, cpus: float | None) -> NodeSettings:
    """Set the share of a node that containers may not reserve; its settings after that. Raises CliError.

    What is None stays.
    """
    return _update(layout, UpdateNode(node=node, reserved=parse_share(memory, cpus)))


def parse_share(memory: str | None, cpus: float | None) -> ReservedChange:
    """A share from a size (`512m`) and a number of CPUs. Raises CliError."""
    if memory is None and cpus is None:
        raise usage("give --memory, --cpus or both; 0 ends a reserved share")
    if cpus is not None and not (isfinite(cpus) and cpus >= 0):
        raise usage(f"{cpus} is no number of CPUs")
    try:
        size = None if memory is None else parse_size(memory, 1024)
    except ValueError:
        raise usage(f"{memory!r} is no size: write bytes, or 512k, 512m, 2g") from None
    return ReservedChange(memory=size, nano_cpus=None if cpus is None else round(cpus * CORE))


def cluster(layout: Layout) -> ClusterSettings:
    """The cluster's settings. Raises CliError."""
    return ask(layout, CLI, LIST_NODES, Empty()).cluster


def update_cluster(layout: Layout, asked: Mapping[str, str | float | None]) -> ClusterSettings:
    """Change those of the cluster's settings that are not None; all of them after that. Raises CliError."""
    for value in asked.values():
        if isinstance(value, float) and not isfinite(value):
            raise usage(f"{value} is no overcommit: use a number above 0")
    try:
        request = UpdateCluster.model_validate(asked)
    except ValidationError:
        raise usage(f"{asked['strategy']!r} is no strategy: use spread, binpack or random") from None
    return ask(layout, API, UPDATE_CLUSTER, request).settings


def parse_labels(words: Sequence[str]) -> tuple[dict[str, str], tuple[str, ...]]:
    """The labels to set (`KEY=VALUE`) and to remove (`KEY-`). Raises CliError."""
    labels, removed = dict[str, str](), list[str]()
    for word in words:
        key, equals, value = word.partition("=")
        if equals:
            if key in labels:
                raise usage(f"label {key!r} is given twice")
            labels[key] = value
        elif word.endswith("-"):
            removed.append(word[:-1])
        else:
            raise usage(f"{word!r} is no label: write KEY=VALUE to set one, KEY- to remove one")
    return labels, tuple(removed)


def _update(layout: Layout, request: UpdateNode) -> NodeSettings:
    """As the API's user: that of the command line is also subscribers', who change nothing."""
    check_name(request.node)
    return ask(layout, API, UPDATE_NODE, request).settings


def check_name(node: str) -> None:
    """Raise CliError for a name that no node may have."""
    try:
        agent_user(node)
    except ValueError as error:
        raise usage(str(error)) from None


def ask(layout: Layout, user: str, channel: CallChannel[Q, R], request: Q) -> R:
    """Ask a service of the suite that runs here, as that user of the bus. Raises CliError."""
    try:
        return call(layout, user, channel, request)
    except SeawayError as error:
        raise CliError(error.message) from None


def call(layout: Layout, user: str, channel: CallChannel[Q, R], request: Q) -> R:
    """The same. Raises SeawayError for a refusal, and CliError where the suite can't be reached."""
    login = login_of(layout, user)
    return ask_once(
        channel, request, url=login.url, user=login.user, password=login.password, ca=login.ca, actor=operator()
    )


def login_of(layout: Layout, user: str) -> Login:
    """How that user logs in at the NATS server of the suite, its own or an outside one. Raises CliError."""
    suite.identify(layout)
    status = commands.status(layout.run)
    ca = Path(status["nats_ca"]) if status["nats_ca"] else None
    passwords = status["passwords"]
    if not passwords:
        return Login(status["nats"], "", "", ca)
    try:
        return Login(status["nats"], user, (Path(passwords) / user).read_text().strip(), ca)
    except OSError as error:
        raise CliError(f"the password of the NATS user {user} can't be read: {describe(error)}") from None
