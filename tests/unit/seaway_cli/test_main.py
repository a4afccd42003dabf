import importlib.metadata
import io
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console
from typer.main import get_command

from seaway_cli.main import app, main
from seaway_cli.table import print_status
from seaway_contracts.ids import RESERVED_NODES
from seaway_contracts.version import VERSION


def run(capsys: pytest.CaptureFixture[str], *argv: str) -> tuple[int, str, str]:
    code = main(argv)
    found = capsys.readouterr()
    return code, found.out, found.err


def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(capsys, "version") == (0, f"seaway {VERSION}\n", "")
    assert importlib.metadata.version("seaway") == VERSION, "pyproject.toml takes it from there"


@pytest.mark.parametrize(
    "argv", [["up", "--nosuch"], ["nosuch"], ["up", "--nats-port", "0"], ["up", "--host", "ftp://x"], ["down", "x"]]
)
def test_wrong_usage_gets_one_line(capsys: pytest.CaptureFixture[str], argv: list[str], tmp_path: Path) -> None:
    places = ["--root", str(tmp_path / "root"), "--run", str(tmp_path / "run")] if argv[0] == "up" else []
    code, out, err = run(capsys, argv[0], *places, *argv[1:])
    assert (code, out) == (2, "")
    assert err.startswith("seaway: ")
    assert err.count("\n") == 1
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("name", sorted(RESERVED_NODES))
@pytest.mark.parametrize("words", [("up", "--node"), ("node", "add"), ("node", "rm")], ids=" ".join)
def test_a_reserved_name_is_refused(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, words: tuple[str, ...], name: str
) -> None:
    code, out, err = run(capsys, *words, name, "--root", str(tmp_path / "root"), "--run", str(tmp_path / "run"))
    assert (code, out) == (2, "")
    option = "--node: " if "--node" in words else ""
    assert err == f"seaway: {option}no node may be called {name!r}: the name is reserved\n"
    assert not list(tmp_path.iterdir())


def test_not_root(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("os.geteuid", lambda: 1000)
    code, _, err = run(capsys, "up", "--root", str(tmp_path / "root"), "--run", str(tmp_path / "run"))
    assert code == 1
    assert err == "seaway: seaway up must be run as root: it makes namespaces, mounts and networks\n"
    assert not list(tmp_path.iterdir())


def test_too_long_run_directory(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    code, _, err = run(capsys, "up", "--host", "unix:///x", "--run", str(tmp_path / ("x" * 100)))
    assert code == 2
    assert "is too long: a socket's path may have 107 bytes" in err


def test_status_without_a_suite(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    code, out, err = run(capsys, "status", "--json", "--run", str(tmp_path))
    assert (code, out) == (1, "")
    assert err == f"seaway: no suite runs in {tmp_path}: start one with `seaway up`, or give its --run\n"


def test_status_table() -> None:
    row = {"service": "api", "pid": 12, "state": "ready", "restarts": 3, "metrics": "http://127.0.0.1:9/metrics"}
    found = {"services": [row], "hosts": ["unix:///s"], "nats": "nats://n", "pid": 1}
    out = io.StringIO()
    print_status(found, Console(file=out, width=120))
    lines = out.getvalue().splitlines()
    assert lines[0].split() == ["SERVICE", "PID", "STATE", "RESTARTS", "METRICS"]
    assert lines[1].split() == ["api", "12", "ready", "3", "http://127.0.0.1:9/metrics"]


def test_every_command_that_ends_has_json() -> None:
    """All but the one that stays in the foreground, and the one that prints a script."""
    without = {name for name, options in _commands(get_command(app)) if "--json" not in options}
    assert without == {"completion"}


def _commands(command: Any, name: str = "") -> Iterator[tuple[str, set[str]]]:
    if hasattr(command, "commands"):
        for word, below in command.commands.items():
            yield from _commands(below, f"{name} {word}".strip())
    else:
        yield name, {option for parameter in command.params for option in parameter.opts}


def test_json_of_what_needs_no_suite(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    assert json.loads(run(capsys, "version", "--json")[1]) == {"version": VERSION}
    found = json.loads(run(capsys, "down", "--json", "--run", str(tmp_path))[1])
    assert found == {"stopped": False, "text": f"No suite runs in {tmp_path}.", "commands": []}


def test_wrong_usage_names_the_subcommands_help(capsys: pytest.CaptureFixture[str]) -> None:
    for argv, command in ((["node", "drain"], "seaway node drain"), (["events", "--no"], "seaway events")):
        assert run(capsys, *argv)[2].endswith(f"(see {command} --help)\n")


def test_the_command_line_starts_without_what_few_commands_need() -> None:
    slow = ("aiohttp", "asyncio", "nats", "rich", "seaway_bus", "seaway_cluster", "uvloop")
    code = f"import sys, seaway_cli.main; print([name for name in {slow!r} if name in sys.modules])"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout == "[]\n"
