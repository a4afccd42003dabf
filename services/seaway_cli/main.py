"""The command line: `seaway up`, `down`, `status`, `node`, `cluster`, `place`, `token`, `user`, `join`, `doctor` …"""

import json
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from seaway_cli.cluster_app import cluster_app
from seaway_cli.completion import completion, prepare
from seaway_cli.errors import CliError, describe
from seaway_cli.layout import ROOT, RUN, Layout
from seaway_cli.node_app import Json, node_app
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
from seaway_cli.watch_app import events, logs, ps, top
from seaway_contracts.version import VERSION
from seaway_kit.metrics_ports import LAST_BASE, METRICS_PORT

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
for command in (events, ps, top, logs, completion):
    app.command()(command)
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
    registry_mirror: Annotated[
        list[str] | None,
        typer.Option(help="REGISTRY=URL: pull through this mirror; a URL alone is Docker Hub's (repeatable)"),
    ] = None,
    insecure_registry: Annotated[list[str] | None, typer.Option(help="HOST:PORT to use HTTP with (repeatable)")] = None,
    registry_port: Annotated[
        int, typer.Option(min=0, max=65535, help="port of the suite's registry, at --listen's address; 0: any free one")
    ] = 0,
    default_address_pool: Annotated[
        list[str] | None, typer.Option(help="base=SUBNET,size=BITS: networks get their subnets from it (repeatable)")
    ] = None,
    buildkit: Annotated[
        str, typer.Option(help="BuildKit for builds: unix://PATH, tcp://HOST:PORT, own (a container), or none")
    ] = "own",
    buildkit_image: Annotated[str, typer.Option(help="image of that container [moby/buildkit]")] = "",
    listen: Annotated[str, typer.Option(help="this machine's address for agents on others; needs TLS")] = "127.0.0.1",
    tlscert: Annotated[str, typer.Option(help="the certificate of the API and of --listen (PEM)")] = "",
    tlskey: Annotated[str, typer.Option(help="its key (PEM)")] = "",
    tlscacert: Annotated[str, typer.Option(help="CA that has signed clients' certificates and --tlscert (PEM)")] = "",
    tlsverify: Annotated[bool, typer.Option("--tlsverify", help="only let clients with a certificate in")] = False,
    metrics_port: Annotated[
        int,
        typer.Option(
            min=0,
            max=LAST_BASE,
            envvar="SEAWAY_METRICS_PORT",
            help="first of the services' ports for metrics; 0: any free ones",
        ),
    ] = METRICS_PORT,
    metrics_token_file: Annotated[
        Path | None, typer.Option(help="file with the token that /metrics asks its readers for")
    ] = None,
    log_level: Annotated[str, typer.Option(help="of all services: debug, info, warning or error")] = "info",
    otlp_endpoint: Annotated[
        str, typer.Option(help="URL of an OpenTelemetry collector (OTLP over HTTP), for traces [off]")
    ] = "",
    detach: Annotated[bool, typer.Option("--detach", "-d", help="return when all is ready")] = False,
    as_json: Json = False,
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
        registry_port=registry_port,
        default_address_pools=tuple(default_address_pool or ()),
        buildkit=buildkit,
        buildkit_image=buildkit_image,
        tls=Tls(tlscert, tlskey, tlscacert, tlsverify),
        listen=listen,
        metrics_port=metrics_port,
        metrics_token_file=metrics_token_file.absolute() if metrics_token_file else None,
        log_level=log_level,
        otlp_endpoint=otlp_endpoint,
        as_json=as_json,
    )
    raise typer.Exit(start.detached(options) if detach else start.foreground(options))


@app.command()
def down(root: SuiteRoot = None, run: SuiteRun = None, as_json: Json = False) -> None:
    """Stop the suite. Containers go on running."""
    from seaway_cli import commands

    place = run_of(root, run)
    ran = commands.down(place)
    text = "Seaway has stopped; containers go on." if ran else f"No suite runs in {place}."
    _say(text, as_json, stopped=ran)


@app.command()
def status(
    root: SuiteRoot = None,
    run: SuiteRun = None,
    as_json: Json = False,
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
def purge(root: SuiteRoot = None, run: SuiteRun = None, as_json: Json = False) -> None:
    """Stop the suite, or the agent alone, and remove everything that it made: containers, images, networks, files."""
    from seaway_cli import commands

    done = commands.purge(layout_of(root, run), commands.agent_purge)
    said = [*done, *commands.stays()] if done else ["There is nothing to remove."]
    _say("\n".join(said), as_json, done=done)


@node_app.command("keys")
def node_keys(
    root: SuiteRoot = None,
    run: SuiteRun = None,
    as_json: Json = False,
    nats: OutsideNats = "",
    nats_passwords: Passwords = None,
    nats_ca: NatsCa = None,
) -> None:
    """Show the public keys of nodes that joined by tokens, for the owner of an outside NATS server."""
    from seaway_cli import tokens

    text = tokens.keys(cluster_of(root, run, nats, nats_passwords, nats_ca))
    if as_json:
        print(json.dumps(dict(line.partition("=")[::2] for line in text.splitlines())))
    elif text:
        print(text)


@token_app.command("create")
def token_create(
    ttl: Annotated[str, typer.Option(help="how long it is valid: 30m, 1h, 7d")] = "1h",
    uses: Annotated[int, typer.Option(help="how many machines may join by it")] = 1,
    label: Annotated[list[str] | None, typer.Option(help="KEY=VALUE: the nodes get this label (repeatable)")] = None,
    root: SuiteRoot = None,
    run: SuiteRun = None,
    as_json: Json = False,
    nats: OutsideNats = "",
    nats_passwords: Passwords = None,
    nats_ca: NatsCa = None,
) -> None:
    """Make a token by which a machine joins, and say how."""
    from seaway_cli import tokens

    token, text = tokens.create(cluster_of(root, run, nats, nats_passwords, nats_ca), ttl, uses, label or ())
    _say(text, as_json, id=token.id, token=str(token))


@token_app.command("ls")
def token_ls(
    root: SuiteRoot = None,
    run: SuiteRun = None,
    as_json: Json = False,
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
    as_json: Json = False,
    nats: OutsideNats = "",
    nats_passwords: Passwords = None,
    nats_ca: NatsCa = None,
) -> None:
    """Remove a token, so that nobody joins by it. Nodes that have joined stay."""
    from seaway_cli import tokens

    _say(tokens.remove(cluster_of(root, run, nats, nats_passwords, nats_ca), token), as_json)


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
    as_json: Json = False,
) -> None:
    """Make this machine a node: exchange a token for a key of its own, and say how to start its agent."""
    from seaway_cli import joining

    layout = Layout(normal(root), normal(run))
    _say(joining.join(joining.JoinOptions(layout, nats, token, node, nats_ca, insecure, wait)), as_json)


@app.command()
def doctor(
    root: SuiteRoot = None,
    run: SuiteRun = None,
    as_json: Json = False,
) -> None:
    """Examine this machine, its suite or its node, and say what to do. Exit code 1: something must be done."""
    from dataclasses import asdict

    from seaway_cli import doctor as examination
    from seaway_cli.doctor_finding import finding_text

    found = []
    for finding in examination.examine(layout_of(root, run)):
        found.append(finding)
        if not as_json:
            print(finding_text(finding), flush=True)
    if as_json:
        print(json.dumps([asdict(finding) for finding in found]))
    raise typer.Exit(1 if any(finding.level == "fail" for finding in found) else 0)


@app.command()
def version(as_json: Json = False) -> None:
    """Show the version."""
    print(json.dumps({"version": VERSION}) if as_json else f"seaway {VERSION}")


def _say(text: str, as_json: bool, **fields: object) -> None:
    from seaway_cli import outcome

    print(outcome.as_json(text, **fields) if as_json else text)


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line; the exit code: 0 well, 1 it could not be done, 2 wrong usage."""
    prepare()
    try:
        outcome = app(args=None if argv is None else list(argv), standalone_mode=False)
    except CliError as error:
        print(f"seaway: {error.message}", file=sys.stderr)
        return error.exit_code
    except BrokenPipeError:  # who reads the output has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except OSError as error:
        print(f"seaway: {describe(error)}", file=sys.stderr)
        return 1
    except (KeyboardInterrupt, typer.Abort):
        return 130
    except _ClickError as error:
        if text := error.format_message():  # empty where the help was shown instead
            print(f"seaway: {text} (see {_command_of(error)} --help)", file=sys.stderr)
        return 2
    return outcome if isinstance(outcome, int) else 0


def _command_of(error: Any) -> str:
    """The subcommand that was used wrongly."""
    words, context = list[str](), getattr(error, "ctx", None)
    while context is not None and context.parent is not None:
        words.insert(0, str(context.info_name))
        context = context.parent
    return " ".join(("seaway", *words))
