"""`seaway cluster`: how the whole cluster places containers."""

from typing import Annotated

import typer

from seaway_cli.node_app import Json
from seaway_cli.options import SuiteRoot, SuiteRun, layout_of
from seaway_contracts.node_settings import ClusterSettings

cluster_app = typer.Typer(help="Show and change how the cluster places containers.", no_args_is_help=True)


@cluster_app.command("inspect")
def cluster_inspect(root: SuiteRoot = None, run: SuiteRun = None, as_json: Json = False) -> None:
    """Show the cluster's settings."""
    from seaway_cli import node_settings

    _say(node_settings.cluster(layout_of(root, run)), as_json)


@cluster_app.command("update")
def cluster_update(
    root: SuiteRoot = None,
    run: SuiteRun = None,
    strategy: Annotated[
        str | None, typer.Option(help="spread: where least runs; binpack: where most is reserved; random")
    ] = None,
    cpu_overcommit: Annotated[float | None, typer.Option(help="how many times a node's CPUs may be reserved")] = None,
    memory_overcommit: Annotated[float | None, typer.Option(help="how many times its memory may be reserved")] = None,
    as_json: Json = False,
) -> None:
    """Change the cluster's settings, for containers that are made from now on."""
    from seaway_cli import node_settings

    asked = {"strategy": strategy, "cpu_overcommit": cpu_overcommit, "memory_overcommit": memory_overcommit}
    _say(node_settings.update_cluster(layout_of(root, run), asked), as_json)


def _say(settings: ClusterSettings, as_json: bool) -> None:
    if as_json:
        print(settings.model_dump_json(exclude={"command"}))
        return
    print(f"strategy           {settings.strategy}")
    print(f"cpu overcommit     {settings.cpu_overcommit:g}")
    print(f"memory overcommit  {settings.memory_overcommit:g}")
