"""`seaway events`, `ps`, `top`, `logs`: what happens in the cluster, and what runs there."""

from typing import Annotated

import typer

from seaway_cli.node_app import Json
from seaway_cli.options import NatsCa, OutsideNats, Passwords, SuiteRoot, SuiteRun, cluster_of, run_of

Texts = list[str] | None
Nodes = Annotated[Texts, typer.Option("--node", help="of this node alone (repeatable)")]


SERVICES = ("agent", "api", "image", "metadata", "nats", "scheduler")


def _services(incomplete: str) -> list[str]:
    return [name for name in SERVICES if name.startswith(incomplete)]


def events(
    filters: Annotated[
        Texts, typer.Option("--filter", "-f", help="KEY=VALUE, as for `docker events` (repeatable)")
    ] = None,
    node: Nodes = None,
    since: Annotated[
        str, typer.Option(help="a time, 10m for ten minutes ago, or seq:N: behind the event with that number")
    ] = "",
    until: Annotated[str, typer.Option(help="a time; without it, until Ctrl-C")] = "",
    follow: Annotated[
        bool, typer.Option("--follow/--no-follow", help="wait for new events, or end with what is stored")
    ] = True,
    with_state: Annotated[
        bool, typer.Option("--with-state", help="first show how things are now, then what changes")
    ] = False,
    audit: Annotated[bool, typer.Option("--audit", help="who did what, from where")] = False,
    form: Annotated[str, typer.Option("--format", help="json, or a template: '{{.Action}} {{.Actor.ID}}'")] = "",
    as_json: Json = False,
    root: SuiteRoot = None,
    run: SuiteRun = None,
    nats: OutsideNats = "",
    nats_passwords: Passwords = None,
    nats_ca: NatsCa = None,
) -> None:
    """Show what happens in the cluster, as it happens or from the stored past."""
    from seaway_cli import events as reader

    options = reader.EventOptions(
        filters=filters or (),
        nodes=node or (),
        since=since,
        until=until,
        form="json" if as_json else form,
        follow=follow,
        with_state=with_state,
        audit=audit,
    )
    reader.show(cluster_of(root, run, nats, nats_passwords, nats_ca), options, _write)


def ps(
    stopped: Annotated[bool, typer.Option("--all", "-a", help="also containers that don't run")] = False,
    node: Nodes = None,
    as_json: Json = False,
    root: SuiteRoot = None,
    run: SuiteRun = None,
    nats: OutsideNats = "",
    nats_passwords: Passwords = None,
    nats_ca: NatsCa = None,
) -> None:
    """List the containers of all nodes, by node."""
    from seaway_cli import containers

    cluster = cluster_of(root, run, nats, nats_passwords, nats_ca)
    containers.show_all(cluster, node or (), stopped=stopped, as_json=as_json)


def top(
    node: Nodes = None,
    sort: Annotated[str, typer.Option(help="cpu, memory, name or node")] = "cpu",
    as_json: Annotated[bool, typer.Option("--json", help="once, as JSON")] = False,
    root: SuiteRoot = None,
    run: SuiteRun = None,
    nats: OutsideNats = "",
    nats_passwords: Passwords = None,
    nats_ca: NatsCa = None,
) -> None:
    """Show what nodes and containers use, once a second; once, where the output is no terminal."""
    from seaway_cli import containers

    containers.watch(cluster_of(root, run, nats, nats_passwords, nats_ca), node or (), sort, as_json=as_json)


def logs(
    service: Annotated[str, typer.Argument(help=", ".join(SERVICES), autocompletion=_services)],
    follow: Annotated[bool, typer.Option("--follow", "-f", help="and each new line, until Ctrl-C")] = False,
    lines: Annotated[int, typer.Option("--lines", "-n", help="so many of the last lines; -1: all")] = 100,
    as_json: Json = False,
    root: SuiteRoot = None,
    run: SuiteRun = None,
) -> None:
    """Show what a service of the suite on this machine has logged."""
    from seaway_cli import service_logs
    from seaway_cli.layout import Layout

    place = run_of(root, run)
    service_logs.show(Layout(place, place).logs, service, lines, _write, follow=follow, as_json=as_json)


def _write(line: str) -> None:
    print(line, flush=True)
