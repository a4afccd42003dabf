"""`seaway ps` and `seaway top`: what runs on all nodes, and what it uses. Asked as the API's user."""

import contextlib
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Container, Iterable, Sequence
from typing import Final

from rich.console import Console
from rich.live import Live

from seaway_bus.ask_once import run_once
from seaway_bus.bus import Bus
from seaway_cli import containers_view as view
from seaway_cli.errors import CliError, usage
from seaway_cli.permissions import API
from seaway_cli.tokens import Cluster
from seaway_cluster.records import all_containers
from seaway_cluster.usage import Snapshot, snapshots
from seaway_contracts.base import Empty
from seaway_contracts.catalogue import LIST_NODES
from seaway_contracts.containers import ContainerRecord
from seaway_contracts.errors import SeawayError
from seaway_contracts.nodes import NodeRecord
from seaway_kit.tasks import Tasks

_MOST_TURNS: Final = 6
_WIDE: Final = 400
"""Columns of an output that is no terminal: nothing is cut off there."""
_OTHER_LINES: Final = 6
"""Of the terminal: what is neither a node nor a container."""


def show_all(cluster: Cluster, nodes: Sequence[str], *, stopped: bool, as_json: bool) -> None:
    """Print the containers of all nodes, or of these alone. Raises CliError."""
    found = list[ContainerRecord]()
    known = dict[str, NodeRecord]()

    async def read(bus: Bus, _: Tasks) -> None:
        known.update({one.node: one for one in (await bus.call(LIST_NODES, Empty())).nodes})
        check_nodes(nodes, known)
        found.extend([one async for one in all_containers(bus, stopped=stopped) if not nodes or one.node in nodes])

    _run(cluster, read)
    if as_json:
        print(json.dumps([view.as_document(one, known) for one in found]))
    else:
        view.print_containers(found, known)


def watch(cluster: Cluster, nodes: Sequence[str], sort: str, *, as_json: bool) -> None:
    """Show what containers use, as it changes; once, if the output is no terminal or JSON. Raises CliError."""
    if sort not in view.SORTS:
        raise usage(f"--sort {sort}: use one of {', '.join(view.SORTS)}")
    console = Console(highlight=False)
    is_live = console.is_terminal and not as_json

    async def read(bus: Bus, tasks: Tasks) -> None:
        check_nodes(nodes, [one.node for one in (await bus.call(LIST_NODES, Empty())).nodes])
        async with contextlib.aclosing(snapshots(bus, tasks, nodes)) as found:
            if not is_live:
                _print_once(await _whole(found), sort, as_json=as_json)
                return
            with Live(console=console, screen=True, auto_refresh=False) as live:
                async for snapshot in found:
                    most = max(1, console.height - len(snapshot.nodes) - _OTHER_LINES)
                    live.update(view.usage_view(snapshot, sort, most), refresh=True)

    with contextlib.suppress(KeyboardInterrupt):
        _run(cluster, read)


async def _whole(found: AsyncIterator[Snapshot]) -> Snapshot:
    """The first snapshot in which nothing is missing, or the last of some."""
    turns = 0
    async for snapshot in found:
        turns += 1
        if snapshot.whole or turns == _MOST_TURNS:
            return snapshot
    raise AssertionError("snapshots don't end")


def _print_once(snapshot: Snapshot, sort: str, *, as_json: bool) -> None:
    if as_json:
        print(json.dumps(view.usage_document(snapshot)))
    else:
        Console(highlight=False, soft_wrap=True, width=_WIDE).print(view.usage_view(snapshot, sort))


def check_nodes(nodes: Iterable[str], known: Container[str]) -> None:
    """Raise CliError if one of these is no node."""
    if missing := [node for node in nodes if node not in known]:
        raise CliError(f"no such node: {missing[0]}; `seaway node ls` lists them")


def _run(cluster: Cluster, work: Callable[[Bus, Tasks], Awaitable[None]]) -> None:
    user, password = (API, cluster.password(API)) if cluster.passwords else ("", "")
    try:
        run_once(work, url=cluster.url, user=user, password=password, ca=cluster.ca)
    except SeawayError as error:
        raise CliError(f"{error.message}; `seaway doctor` says more") from None
