"""A suite's identity: made once per root directory, kept in suite.json, which also marks what may be purged."""

import contextlib
import json
import os
import secrets
import shutil
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Final

from seaway_cli.errors import CliError
from seaway_cli.layout import ROOT, RUN, Layout
from seaway_contracts.errors import written_later
from seaway_contracts.stored_forms import Form
from seaway_kit.private_files import write_private

FORM: Final = Form()
"""Of `suite.json`."""
_HARMLESS: Final = frozenset({"lost+found", "seaway.lock"})
_KEEP_OUT: Final = frozenset(
    {
        *("/usr/bin", "/usr/lib", "/usr/local", "/usr/sbin", "/usr/share", "/run/lock"),
        *("/var/cache", "/var/lib", "/var/log", "/var/run", "/var/tmp"),
    }
)
_PRIVATE: Final = 0o700
_PASSABLE: Final = 0o711
"""Of the run directory and what it stands in: the API's socket has users other than root."""


@dataclass(frozen=True)
class Suite:
    """`token`: six hex digits that set this suite's bridges, tables and cgroups apart from another's.

    `root` and `run` are its directories, as of its last start; empty where an earlier release has written.
    """

    token: str
    nats_port: int = 0
    root: str = ""
    run: str = ""

    def at(self, layout: Layout) -> "Suite":
        """The suite with the directories that it is about to be started in."""
        return replace(self, root=str(layout.root), run=str(layout.run))

    def save(self, path: Path) -> None:
        """Write it to `path` in one step; raises CliError if that can't be done."""
        part = path.with_suffix(".part")
        body = {"version": FORM.version, **asdict(self)}
        try:
            write_private(part, (json.dumps(body) + "\n").encode())
            part.replace(path)
        except OSError as error:
            part.unlink(missing_ok=True)
            raise CliError(f"can't write {path}: {error.strerror}") from None


def load(path: Path) -> Suite | None:
    """The suite that `path` describes, or None without such a file.

    Raises CliError for one that can't be read, or that a later release has written.
    """
    try:
        data = json.loads(path.read_text())
        version = int(data.get("version", 1))
        if version > FORM.version:
            raise CliError(str(written_later(path, version, FORM.version)))
        data = FORM.upgraded("suite", data, version)
        places = (str(data.get(place, "")) for place in ("root", "run"))
        return Suite(str(data["token"]), int(data.get("nats_port", 0)), *places)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise CliError(f"can't read {path}: {error.strerror}") from None
    except (ValueError, KeyError, TypeError, AttributeError):
        raise CliError(f"{path} is damaged: restore it, or remove the suite's directories by hand") from None


def identify(layout: Layout) -> Suite | None:
    """The suite that both directories belong to, or None where neither is a suite's yet.

    Raises CliError where they are two suites': what is done to one would be done to the other as well.
    """
    lasting, passing = load(layout.marker), load(layout.run_marker)
    if passing is None:
        return lasting
    if lasting is not None and lasting.token != passing.token:
        advice = f"--run {lasting.run}" if lasting.run not in ("", str(layout.run)) else "the --run that goes with it"
        raise CliError(
            f"--run {layout.run} belongs to another suite{_of(passing.root)} than --root {layout.root}: pass {advice}"
        )
    if lasting is None and passing.root not in ("", str(layout.root)):
        raise CliError(
            f"--run {layout.run} belongs to the suite of --root {passing.root}, and --root {layout.root} to none: "
            "pass the two directories of one suite"
        )
    return lasting or passing


def run_of(root: Path | None, run: Path | None) -> Path:
    """The run directory of the suite that one or both of its directories name; the default one where neither does.

    Raises CliError where they are two suites'.
    """
    if run is None:
        known = load(Layout(root or ROOT, RUN).marker)
        run = Path(known.run) if known is not None and known.run else RUN
    if root is not None:
        identify(Layout(root, run))
    return run


def layout_of(root: Path | None, run: Path | None) -> Layout:
    """Both directories of the suite that one or both of them name. Raises CliError where they are two suites'."""
    run = run_of(root, run)
    if root is None:
        known = load(Layout(ROOT, run).run_marker)
        root = Path(known.root) if known is not None and known.root else ROOT
    return Layout(root, run)


def _of(root: str) -> str:
    return f" (that of --root {root})" if root else ""


def new() -> Suite:
    """A suite with a fresh token."""
    return Suite(secrets.token_hex(3))


def check_directory(path: Path, option: str, marker: Path, inside: Path | None = None) -> None:
    """Raise CliError if a suite must not live in `path`: a purge would remove what isn't ours.

    `inside` is a directory of the same suite that may stand in it.
    """
    if len(path.parts) < 3 or str(path) in _KEEP_OUT or path == Path.home():
        raise CliError(f"{option} {path} is no directory to give away: choose one that only Seaway uses")
    if marker.exists() or not path.exists():
        return
    if not path.is_dir():
        raise CliError(f"{option} {path} is not a directory")
    foreign = sorted(entry.name for entry in path.iterdir() if entry.name not in _HARMLESS and entry != inside)
    if foreign:
        raise CliError(
            f"{option} {path} is in use by something else (it holds {foreign[0]!r}, but no suite.json): "
            "choose an empty directory"
        )


@contextlib.contextmanager
def prepared(layout: Layout) -> Iterator[None]:
    """Make the suite's directories; on an error inside, those that weren't there before are gone again.

    Raises CliError with the reason if one can't be made or written.
    """
    made: list[Path] = []
    try:
        run_is_inside = layout.run.is_relative_to(layout.root)
        _make(layout.root, made, _PASSABLE if run_is_inside else _PRIVATE)
        _make(layout.run, made, _PASSABLE)
        for path in (layout.secrets, layout.nats_store, layout.logs, layout.nats_config.parent, layout.streams):
            _make(path, made, _PRIVATE)
        yield
    except BaseException:
        for path in reversed(made):
            shutil.rmtree(path, ignore_errors=True)
        raise


def _make(path: Path, made: list[Path], mode: int) -> None:
    try:
        for missing in reversed([part for part in (path, *path.parents) if not part.exists()]):
            missing.mkdir(mode=mode if missing == path else _PASSABLE)
            made.append(missing)
        if not os.access(path, os.W_OK):
            raise PermissionError(0, "no permission to write there")
        with open(probe := path / ".writable", "wb"):
            pass
        probe.unlink()
        path.chmod(mode)
    except OSError as error:
        raise CliError(f"can't write to {path}: {error.strerror}") from None
