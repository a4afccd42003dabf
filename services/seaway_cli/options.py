"""The options that name a suite's directories, for all subcommands."""

from pathlib import Path
from typing import Annotated

import typer

from seaway_cli.layout import ROOT, RUN, Layout

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
