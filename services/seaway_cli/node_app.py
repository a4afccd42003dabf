"""`seaway node`: the nodes of the cluster, and what operators set for them."""

import json
from typing import Annotated

import typer

from seaway_cli.options import NatsCa, OutsideNats, Passwords, SuiteRoot, SuiteRun, cluster_of, layout_of
from seaway_contracts.node_settings import Availability, NodeSettings
from seaway_contracts.nodes import CORE

node_app = typer.Typer(help="Show the nodes of the cluster, and change what may run on them.", no_args_is_help=True)
Json = Annotated[bool, typer.Option("--json", help="JSON, for programs")]


@node_app.command("ls")
def node_ls(root: SuiteRoot = None, run: SuiteRun = None, as_json: Json = False) -> None:
    """List the nodes."""
    from seaway_cli import node_settings
    from seaway_cli.node_view import as_document, print_nodes

    layout = layout_of(root, run)
    found = node_settings.nodes(layout)
    if as_json:
        identities = node_settings.identities(layout)
        print(json.dumps([as_document(record, identities.get(record.node)) for record in found]))
    else:
        print_nodes(found)


@node_app.command("inspect")
def node_inspect(names: list[str], root: SuiteRoot = None, run: SuiteRun = None, as_json: Json = False) -> None:
    """Show all that is known of one or more nodes."""
    from seaway_cli import node_settings
    from seaway_cli.node_view import as_document, print_node

    layout = layout_of(root, run)
    found, identities = node_settings.nodes(layout, names), node_settings.identities(layout)
    if as_json:
        print(json.dumps([as_document(record, identities.get(record.node)) for record in found]))
        return
    for record in found:
        print_node(record, identities.get(record.node))


@node_app.command("label")
def node_label(
    name: str,
    labels: Annotated[list[str], typer.Argument(help="KEY=VALUE to set a label, KEY- to remove one")],
    root: SuiteRoot = None,
    run: SuiteRun = None,
    as_json: Json = False,
) -> None:
    """Set or remove labels of a node, for constraints (`node.labels.KEY`)."""
    from seaway_cli import node_settings

    settings = node_settings.label(layout_of(root, run), name, labels)
    shown = " ".join(f"{key}={value}" for key, value in sorted(settings.labels.items()))
    _say(settings, f"Labels of node {name}: {shown or 'none'}", as_json)


@node_app.command("pause")
def node_pause(name: str, root: SuiteRoot = None, run: SuiteRun = None, as_json: Json = False) -> None:
    """Place no new containers on a node for a while; those that are there continue."""
    _set(name, root, run, "pause", "gets no new containers", as_json)


@node_app.command("drain")
def node_drain(
    name: str,
    root: SuiteRoot = None,
    run: SuiteRun = None,
    stop: Annotated[bool, typer.Option("--stop", help="and stop those that run there, as `docker stop` does")] = False,
    as_json: Json = False,
) -> None:
    """Place no new containers on a node that is to be emptied; those that are there continue until they are stopped."""
    if stop:
        _drain_and_stop(name, root, run, as_json)
    else:
        _set(name, root, run, "drain", "is drained: it gets no new containers; those that are there continue", as_json)


@node_app.command("activate")
def node_activate(name: str, root: SuiteRoot = None, run: SuiteRun = None, as_json: Json = False) -> None:
    """Place new containers on a node again."""
    _set(name, root, run, "active", "gets new containers again", as_json)


@node_app.command("reserve")
def node_reserve(
    name: str,
    memory: Annotated[
        str | None, typer.Option(help="what containers may not reserve of its memory: 512m, 2g; 0: nothing")
    ] = None,
    cpus: Annotated[float | None, typer.Option(help="what they may not reserve of its CPUs; 0: nothing")] = None,
    root: SuiteRoot = None,
    run: SuiteRun = None,
    as_json: Json = False,
) -> None:
    """Keep a share of a node free of reservations, for what else runs there; an option that is not given stays."""
    from seaway_cli import node_settings

    settings = node_settings.reserve(layout_of(root, run), name, memory, cpus)
    share = settings.reserved
    kept = f"{share.memory / (1 << 20):g} MiB of memory and {share.nano_cpus / CORE:g} CPUs"
    _say(settings, f"Node {name} keeps {kept} free of reservations.", as_json)


@node_app.command("add")
def node_add(name: str, root: SuiteRoot = None, run: SuiteRun = None, as_json: Json = False) -> None:
    """Let one more node's agent in, by a user that may speak for that node alone; says how to start it."""
    from seaway_cli import nodes, outcome

    text = nodes.add(layout_of(root, run), name)
    print(outcome.as_json(text, node=name) if as_json else text)


@node_app.command("rm")
def node_rm(
    name: str,
    root: SuiteRoot = None,
    run: SuiteRun = None,
    force: Annotated[bool, typer.Option("--force", "-f", help="also where the node holds containers")] = False,
    as_json: Json = False,
    nats: OutsideNats = "",
    nats_passwords: Passwords = None,
    nats_ca: NatsCa = None,
) -> None:
    """Remove a node, with the records of its containers. What runs there still runs: `seaway purge` there ends it."""
    from seaway_cli import nodes

    if nats:
        removed = nodes.remove_outside(cluster_of(root, run, nats, nats_passwords, nats_ca), name, force=force)
    else:
        removed = nodes.remove(layout_of(root, run), name, force=force)
    if as_json:
        print(json.dumps({"node": name, "containers": removed.containers, "login_stays": bool(removed.to_do)}))
        return
    gone = f" with the records of its containers ({removed.containers})" if removed.containers else ""
    print(f"Node {name} was removed{gone}. What runs on its machine still runs: `seaway purge` there ends it.")
    if removed.to_do:
        print(removed.to_do)


def _drain_and_stop(name: str, root: SuiteRoot, run: SuiteRun, as_json: bool) -> None:
    """Exit code 1 where a container could not be stopped."""
    from seaway_cli import draining

    ended: list[draining.Container] = []

    def note(container: draining.Container) -> None:
        ended.append(container)
        if not as_json:
            print(container.sentence, flush=True)

    draining.drain(layout_of(root, run), name, note)
    failed = sum(bool(one.error) for one in ended)
    if as_json:
        containers = [one.document for one in ended]
        print(json.dumps({"node": name, "availability": "drain", "containers": containers}))
    else:
        print(draining.summary(name, ended))
    if failed:
        raise typer.Exit(1)


def _set(name: str, root: SuiteRoot, run: SuiteRun, availability: Availability, sentence: str, as_json: bool) -> None:
    from seaway_cli import node_settings

    settings = node_settings.make_available(layout_of(root, run), name, availability)
    _say(settings, f"Node {name} {sentence}.", as_json)


def _say(settings: NodeSettings, sentence: str, as_json: bool) -> None:
    print(settings.model_dump_json(exclude={"command"}) if as_json else sentence)
