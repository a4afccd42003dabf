"""The options that name a suite's directories or a cluster's NATS server, for all subcommands."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from seaway_cli.errors import usage
from seaway_cli.layout import ROOT, RUN, Layout

if TYPE_CHECKING:
    from seaway_cli.tokens import Cluster

SuiteRoot = Annotated[
    Path | None,
    typer.Option(
        "--root", help="the suite's directory for state", envvar="SEAWAY_ROOT", show_default=f"as of --run, or {ROOT}"
    ),
]
SuiteRun = Annotated[
    Path | None,
    typer.Option(
        "--run",
        help="the suite's directory for sockets and pids",
        envvar="SEAWAY_RUN",
        show_default=f"as of --root, or {RUN}",
    ),
]
"""Of a suite that is there: either directory names it."""
OutsideNats = Annotated[
    str, typer.Option("--nats", help="URL of the cluster's NATS server, where no suite of `seaway up` runs here")
]
Passwords = Annotated[
    Path | None,
    typer.Option("--nats-passwords", help="directory with a password for each user at that server"),
]
NatsCa = Annotated[
    Path | None, typer.Option("--nats-ca", help="CA that has signed the NATS server's certificate (PEM)")
]


def normal(path: Path) -> Path:
    """Absolute and without `..`, but with the user's own links."""
    return path.resolve() if ".." in path.parts else path.absolute()


def run_of(root: Path | None, run: Path | None) -> Path:
    """The run directory of the suite that these options name. Raises CliError."""
    from seaway_cli import suite

    return suite.run_of(root and normal(root), run and normal(run))


def layout_of(root: Path | None, run: Path | None) -> Layout:
    """The directories of the suite that these options name. Raises CliError."""
    from seaway_cli import suite

    return suite.layout_of(root and normal(root), run and normal(run))


def cluster_of(root: Path | None, run: Path | None, nats: str, passwords: Path | None, ca: Path | None) -> "Cluster":
    """The cluster at the NATS server that these options name, or that of the suite. Raises CliError."""
    from seaway_cli.tokens import Cluster

    if not nats:
        return Cluster.of(layout_of(root, run))
    if passwords is None:
        raise usage("--nats needs --nats-passwords: the directory with a password for each NATS user")
    return Cluster(nats, passwords.absolute(), ca)
