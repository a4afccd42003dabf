"""The command line: `seaway up`, `down`, `status`, `node`, `cluster`, `place`, `token`, `user`, `join`, `doctor` …"""

import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from seaway_cli.cluster_app import cluster_app
from seaway_cli.errors import CliError, describe
from seaway_cli.layout import ROOT, RUN, Layout
from seaway_cli.node_app import node_app
from seaway_cli.options import (
    NatsCa,
    OutsideNats,
    Passwords,
    SuiteRoot,
    SuiteRun,
    cluster_of,
    layout_of,
    normal,
    run_of,
)
from seaway_cli.place_app import place
from seaway_cli.user_app import user_app
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
app.add_typer(user_app, name="user")
app.command("place")(place)
token_app = typer.Typer(help="Tokens by which machines join as nodes.", no_args_is_help=True)
app.add_typer(token_app, name="token")


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


@node_app.command("keys")
def node_keys(
    root: SuiteRoot = None,
    run: SuiteRun = None,
    nats: OutsideNats = "",
    nats_passwords: Passwords = None,
    nats_ca: NatsCa = None,
) -> None:
    """Show the public keys of nodes that joined by tokens, for the owner of an outside NATS server."""
    from seaway_cli import tokens

    if text := tokens.keys(cluster_of(root, run, nats, nats_passwords, nats_ca)):
        print(text)


@token_app.command("create")
def token_create(
    ttl: Annotated[str, typer.Option(help="how long it is valid: 30m, 1h, 7d")] = "1h",
    uses: Annotated[int, typer.Option(help="how many machines may join by it")] = 1,
    label: Annotated[list[str] | None, typer.Option(help="KEY=VALUE: the nodes get this label (repeatable)")] = None,
    root: SuiteRoot = None,
    run: SuiteRun = None,
    nats: OutsideNats = "",
    nats_passwords: Passwords = None,
    nats_ca: NatsCa = None,
) -> None:
    """Make a token by which a machine joins, and say how."""
    from seaway_cli import tokens

    print(tokens.create(cluster_of(root, run, nats, nats_passwords, nats_ca), ttl, uses, label or ()))


@token_app.command("ls")
def token_ls(
    root: SuiteRoot = None,
    run: SuiteRun = None,
    as_json: Annotated[bool, typer.Option("--json", help="a list of objects, for programs")] = False,
    nats: OutsideNats = "",
    nats_passwords: Passwords = None,
    nats_ca: NatsCa = None,
) -> None:
    """List tokens: how often each was used, and by which nodes."""
    from seaway_cli import tokens

    print(tokens.listed(cluster_of(root, run, nats, nats_passwords, nats_ca), as_json=as_json))


@token_app.command("rm")
def token_rm(
    token: str,
    root: SuiteRoot = None,
    run: SuiteRun = None,
    nats: OutsideNats = "",
    nats_passwords: Passwords = None,
    nats_ca: NatsCa = None,
) -> None:
    """Remove a token, so that nobody joins by it. Nodes that have joined stay."""
    from seaway_cli import tokens

    print(tokens.remove(cluster_of(root, run, nats, nats_passwords, nats_ca), token))


@app.command()
def join(
    nats: Annotated[str, typer.Argument(help="URL of the cluster's NATS server: nats://HOST:PORT")],
    token: Annotated[str, typer.Option(help="from `seaway token create`", envvar="SEAWAY_TOKEN")],
    node: Annotated[str | None, typer.Option(help="the new node's name [the host's]")] = None,
    nats_ca: NatsCa = None,
    insecure: Annotated[
        bool, typer.Option("--insecure", help="send the token to another machine without TLS, for all to read")
    ] = False,
    wait: Annotated[float, typer.Option(min=0, help="seconds to wait until the NATS server lets the node in")] = 60.0,
    root: Root = ROOT,
    run: Run = RUN,
) -> None:
    """Make this machine a node: exchange a token for a key of its own, and say how to start its agent."""
    from seaway_cli import joining

    layout = Layout(normal(root), normal(run))
    print(joining.join(joining.JoinOptions(layout, nats, token, node, nats_ca, insecure, wait)))


@app.command()
def doctor(
    root: Root = ROOT,
    run: Run = RUN,
    as_json: Annotated[bool, typer.Option("--json", help="a list of objects, for programs")] = False,
) -> None:
    """Say what this node can't reach and what doesn't fit: NATS, services, clock, version, images."""
    from dataclasses import asdict

    from seaway_cli import doctor as examination

    layout = Layout(normal(root), normal(run))
    found = list(examination.examine(examination.Node.of(layout)))
    if as_json:
        print(json.dumps([asdict(finding) for finding in found]))
    else:
        print("\n".join(f"{'ok  ' if finding.well else 'FAIL'}  {finding.what}: {finding.text}" for finding in found))
    raise typer.Exit(0 if all(finding.well for finding in found) else 1)


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
