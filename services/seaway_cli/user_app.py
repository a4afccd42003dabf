"""`seaway user`: programs of others that read events on the bus, and logins at the registry."""

import json
from pathlib import Path
from typing import Annotated

import typer

from seaway_cli.errors import usage
from seaway_cli.node_app import Json
from seaway_cli.options import NatsCa, OutsideNats, Passwords, SuiteRoot, SuiteRun, cluster_of
from seaway_contracts.registry_users import RegistryRights

user_app = typer.Typer(
    help="Users: programs that read events and nothing else, and logins at the registry.", no_args_is_help=True
)
Out = Annotated[Path, typer.Option("--out", help="directory for the key and the nats command's context")]


@user_app.command("add")
def user_add(
    name: str,
    events: Annotated[
        list[str] | None,
        typer.Option(help="container.die, or container for all of a noun; several with commas (repeatable) [all]"),
    ] = None,
    node: Annotated[list[str] | None, typer.Option(help="events of this node only (repeatable) [all]")] = None,
    registry: Annotated[
        RegistryRights | None, typer.Option(help="instead of events: a login at the registry, to pull, or also to push")
    ] = None,
    expires: Annotated[str, typer.Option(help="how long it is let in: 12h, 30d [for ever]")] = "",
    keep: Annotated[str, typer.Option(help="size of its stream of stored events [1g]")] = "",
    out: Out = Path(),
    root: SuiteRoot = None,
    run: SuiteRun = None,
    as_json: Json = False,
    nats: OutsideNats = "",
    nats_passwords: Passwords = None,
    nats_ca: NatsCa = None,
) -> None:
    """Create a user that reads events, and write its key; or a login at the registry, whose password is shown once."""
    from seaway_cli import registry_users, users

    cluster = cluster_of(root, run, nats, nats_passwords, nats_ca)
    if registry is not None:
        if events or node or keep:
            raise usage("--registry goes without --events, --node and --keep: such a user reads no events")
        users.check_name(name)
        login = registry_users.add(cluster, name, registry, users.seconds_of(expires))
        print(json.dumps(login.document()) if as_json else login.text)
        return
    made = users.add(cluster, users.NewUser(name, tuple(events or ()), tuple(node or ()), expires, keep or "1g"), out)
    print(json.dumps(made.document(cluster.url)) if as_json else made.text)


@user_app.command("ls")
def user_ls(
    root: SuiteRoot = None,
    run: SuiteRun = None,
    as_json: Json = False,
    nats: OutsideNats = "",
    nats_passwords: Passwords = None,
    nats_ca: NatsCa = None,
) -> None:
    """List users: what each may read, what its stream holds, and what it may do at the registry."""
    from seaway_cli import users

    print(users.listed(cluster_of(root, run, nats, nats_passwords, nats_ca), as_json=as_json))


@user_app.command("rotate")
def user_rotate(
    name: str,
    out: Out = Path(),
    root: SuiteRoot = None,
    run: SuiteRun = None,
    as_json: Json = False,
    nats: OutsideNats = "",
    nats_passwords: Passwords = None,
    nats_ca: NatsCa = None,
) -> None:
    """Give a user another key, or password. The one before is refused at once; stream and consumers stay."""
    from seaway_cli import registry_users, users

    cluster = cluster_of(root, run, nats, nats_passwords, nats_ca)
    users.check_name(name)
    if registry_users.is_login(cluster, name):
        login = registry_users.rotate(cluster, name)
        print(json.dumps(login.document()) if as_json else login.text)
        return
    made = users.rotate(cluster, name, out)
    print(json.dumps(made.document(cluster.url)) if as_json else made.text)


@user_app.command("rm")
def user_rm(
    name: str,
    root: SuiteRoot = None,
    run: SuiteRun = None,
    as_json: Json = False,
    nats: OutsideNats = "",
    nats_passwords: Passwords = None,
    nats_ca: NatsCa = None,
) -> None:
    """Remove a user, with its stream and consumers; it is cut off."""
    from seaway_cli import users

    said = users.remove(cluster_of(root, run, nats, nats_passwords, nats_ca), name)
    print(json.dumps({"user": name}) if as_json else said)


@user_app.command("keys")
def user_keys(
    root: SuiteRoot = None,
    run: SuiteRun = None,
    as_json: Json = False,
    nats: OutsideNats = "",
    nats_passwords: Passwords = None,
    nats_ca: NatsCa = None,
) -> None:
    """Show users with their public keys, for the owner of an outside NATS server."""
    from seaway_cli import users

    lines = users.keys(cluster_of(root, run, nats, nats_passwords, nats_ca))
    if as_json:
        print(json.dumps(lines))
    elif lines:
        print("\n".join(lines))
