"""`seaway place`: explain where `docker run` would place a container."""

from typing import Annotated

import typer

from seaway_cli.errors import CliError, usage
from seaway_cli.node_app import Json
from seaway_cli.options import SuiteRoot, SuiteRun, layout_of

Texts = list[str] | None


def place(
    image: Annotated[str, typer.Argument(help="the image, as for `docker run`")],
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="only explain; this must be given, as `docker run` does the rest")
    ] = False,
    env: Annotated[Texts, typer.Option("--env", "-e", help="constraint:KEY==VALUE or affinity:KEY==VALUE")] = None,
    label: Annotated[Texts, typer.Option("--label", "-l", help="KEY=VALUE")] = None,
    memory: Annotated[str, typer.Option("--memory", "-m", help="limit: 512m")] = "0",
    memory_reservation: Annotated[str, typer.Option(help="memory to reserve: 512m")] = "0",
    cpus: Annotated[str, typer.Option(help="limit: 1.5")] = "0",
    cpu_period: Annotated[int, typer.Option(help="microseconds")] = 0,
    cpu_quota: Annotated[int, typer.Option(help="microseconds in each period")] = 0,
    gpus: Annotated[str, typer.Option(help="all, a number, or device=ID")] = "",
    publish: Annotated[
        Texts,
        typer.Option("--publish", "-p", help="HOST:CONTAINER, as for `docker run`"),
    ] = None,
    volume: Annotated[Texts, typer.Option("--volume", "-v", help="NAME:PATH")] = None,
    mount: Annotated[Texts, typer.Option(help="type=volume,source=NAME,target=PATH")] = None,
    volumes_from: Annotated[Texts, typer.Option(help="a container")] = None,
    network: Annotated[Texts, typer.Option("--network", "--net", help="a network, or container:NAME")] = None,
    platform: Annotated[str, typer.Option(help="linux/arm64")] = "",
    runtime: Annotated[str, typer.Option(help="an OCI runtime")] = "",
    root: SuiteRoot = None,
    run: SuiteRun = None,
    as_json: Json = False,
) -> None:
    """Explain where `docker run` with these options would place a container. Exit code 1: no node fits."""
    from seaway_cli import placing
    from seaway_cli.place_view import explanation_text

    if not dry_run:
        raise usage("`seaway place` only explains: add --dry-run; `docker run` places containers")
    options = placing.RunOptions(
        image=image,
        env=tuple(env or ()),
        labels=tuple(label or ()),
        memory=memory,
        memory_reservation=memory_reservation,
        cpus=cpus,
        cpu_period=cpu_period,
        cpu_quota=cpu_quota,
        gpus=gpus,
        publish=tuple(publish or ()),
        volumes=tuple(volume or ()),
        mounts=tuple(mount or ()),
        volumes_from=tuple(volumes_from or ()),
        networks=tuple(network or ()),
        platform=platform,
        runtime=runtime,
    )
    found = placing.explain(layout_of(root, run), options)
    print(found.model_dump_json() if as_json else explanation_text(found))
    if found.refusal:
        raise CliError(found.refusal)
