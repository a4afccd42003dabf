"""The command line: `seaway up`, `down`, `status`, `node`, `cluster`, `purge`, `version`."""

import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from seaway_cli.cluster_app import cluster_app
from seaway_cli.errors import CliError, describe
from seaway_cli.layout import ROOT, RUN
from seaway_cli.node_app import node_app
from seaway_cli.options import SuiteRoot, SuiteRun, layout_of, normal, run_of
from seaway_contracts.version import VERSION

Root = Annotated[Path, typer.Option("--root", help="directory for state", envvar="SEAWAY_ROOT")]
Run = Annotated[Path, typer.Option("--run", help="directory for sockets and pids", envvar="SEAWAY_RUN")]
# typer brings a click of its own or uses the installed one, depending on its version
_ClickError: Any = next(kind for kind in typer.BadParameter.__mro__ if kind.__name__ == "ClickException")

app = typer.Typer(
    name="seaway",
    help="Docker's API over many hosts, with a durable event bus in the middle.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)

app.add_typer(node_app, name="node")
app.add_typer(cluster_app, name="cluster")


@app.command()
def up(
    root: Root = ROOT,
    run: Run = RUN,
    host: Annotated[list[str] | None, typer.Option(help="unix://PATH or tcp://ADDR:PORT (repeatable)")] = None,
    nats: Annotated[str, typer.Option(help="URL of an outside NATS server, instead of the embedded one")] = "",
    nats_port: Annotated[int | None, typer.Option(min=1, max=65535, help="port of the embedded NATS server")] = None,
    nats_passwords: Annotated[
        Path | None, typer.Option(help="directory with the passwords at the outside NATS server, a file for each user")
    ] = None,
    node: Annotated[str | None, typer.Option(help="this node's name [the host's]")] = None,
    registry_mirror: Annotated[list[str] | None, typer.Option(help="pull through this mirror (repeatable)")] = None,
    insecure_registry: Annotated[list[str] | None, typer.Option(help="HOST:PORT to use HTTP with (repeatable)")] = None,
    default_address_pool: Annotated[
        list[str] | None, typer.Option(help="base=SUBNET,size=BITS: networks get their subnets from it (repeatable)")
    ] = None,
    listen: Annotated[str, typer.Option(help="this machine's address for agents on others; needs TLS")] = "127.0.0.1",
    tlscert: Annotated[str, typer.Option(help="the certificate of the API and of --listen (PEM)")] = "",
    tlskey: Annotated[str, typer.Option(help="its key (PEM)")] = "",
    tlscacert: Annotated[str, typer.Option(help="CA that has signed clients' certificates and --tlscert (PEM)")] = "",
    tlsverify: Annotated[bool, typer.Option("--tlsverify", help="only let clients with a certificate in")] = False,
    metrics_token_file: Annotated[
        Path | None, typer.Option(help="file with the token that /metrics asks its readers for")
    ] = None,
    detach: Annotated[bool, typer.Option("--detach", "-d", help="return when all is ready")] = False,
) -> None:
    """Start a suite on this machine: NATS and one process per service, watched and restarted."""
    from seaway_cli import up as start
    from seaway_cli.hosts import Tls

    options = start.UpOptions(
        root=normal(root),
        run=normal(run),
        hosts=tuple(host or ()),
        nats=nats,
        nats_port=nats_port,
        nats_passwords=nats_passwords.absolute() if nats_passwords else None,
        node=node,
        registry_mirrors=tuple(registry_mirror or ()),
        insecure_registries=tuple(insecure_registry or ()),
        default_address_pools=tuple(default_address_pool or ()),
        tls=Tls(tlscert, tlskey, tlscacert, tlsverify),
        listen=listen,
        metrics_token_file=metrics_token_file.absolute() if metrics_token_file else None,
    )
    raise typer.Exit(start.detached(options) if detach else start.foreground(options))


@app.command()
def down(root: SuiteRoot = None, run: SuiteRun = None) -> None:
    """Stop the suite. Containers go on running."""
    from seaway_cli import commands

    place = run_of(root, run)
    print("Seaway has stopped; containers go on." if commands.down(place) else f"No suite runs in {place}.")


@app.command()
def status(
    root: SuiteRoot = None,
    run: SuiteRun = None,
    as_json: Annotated[bool, typer.Option("--json", help="a list of objects, for programs")] = False,
) -> None:
    """Show the suite's processes."""
    from seaway_cli import commands

    found = commands.status(run_of(root, run))
    if as_json:
        print(json.dumps(found["services"]))
        return
    from seaway_cli.table import print_status

    print_status(found)


@app.command()
def purge(root: SuiteRoot = None, run: SuiteRun = None) -> None:
    """Stop the suite, or the agent alone, and remove everything that it made: containers, images, networks, files."""
    from seaway_cli import commands

    done = commands.purge(layout_of(root, run), commands.agent_purge)
    print("\n".join((*done, *commands.stays())) if done else "There is nothing to remove.")


@app.command()
def version() -> None:
    """Show the version."""
    print(f"seaway {VERSION}")


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line; the exit code: 0 well, 1 it could not be done, 2 wrong usage."""
    try:
        outcome = app(args=None if argv is None else list(argv), standalone_mode=False)
    except CliError as error:
        print(f"seaway: {error.message}", file=sys.stderr)
        return error.exit_code
    except OSError as error:
        print(f"seaway: {describe(error)}", file=sys.stderr)
        return 1
    except (KeyboardInterrupt, typer.Abort):
        return 130
    except _ClickError as error:
        if text := error.format_message():  # empty where the help was shown instead
            print(f"seaway: {text} (see seaway --help)", file=sys.stderr)
        return 2
    return outcome if isinstance(outcome, int) else 0
