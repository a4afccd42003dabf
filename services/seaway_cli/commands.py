"""What the other subcommands do."""

import contextlib
import os
import shutil
import sqlite3
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

from seaway_cli import control, lone_agent, suite
from seaway_cli.errors import CliError
from seaway_cli.layout import Layout
from seaway_cli.locks import Lock
from seaway_contracts.errors import SeawayError

_STOP_S: Final = 90.0
_END_S: Final = 5.0


def status(run: Path) -> dict[str, Any]:
    """What the supervisor of the suite in `run` says; raises CliError if none runs there."""
    try:
        return control.ask(Layout(run, run).control, "status")
    except control.NotRunning:
        raise CliError(f"no suite runs in {run}: start one with `seaway up`, or give its --run") from None


def down(run: Path) -> bool:
    """Stop the suite in `run` and wait for its end; containers go on. False if none runs there.

    Raises CliError if it does not end.
    """
    try:
        client = control.ControlClient(run / "control.sock")
    except control.NotRunning:
        return False
    with contextlib.closing(client):
        client.ask("stop")
        if not client.wait_for_end(_STOP_S):
            raise CliError(f"the suite in {run} has not stopped within {_STOP_S:g} s: see {run}/log/")
    _wait_unlocked(run / "seaway.lock")
    return True


def _wait_unlocked(path: Path) -> None:
    """Wait until the supervisor's process has ended too, so that the next command finds a clean place."""
    deadline = time.monotonic() + _END_S
    with contextlib.suppress(FileNotFoundError), Lock(path) as lock:
        while not lock.take() and time.monotonic() < deadline:
            time.sleep(0.01)


def purge(layout: Layout, clean_node: Callable[[Layout, str], None]) -> list[str]:
    """Stop the suite, or the agent alone, and remove all that it ever made; what was removed, in words.

    `clean_node` takes a layout and the suite's token (empty: the agent knows), and removes containers, mounts and
    networks. Raises CliError, having removed no file, unless the directories are one suite's or an agent's and nothing
    is mounted there.
    """
    root, run = layout.root, layout.run
    if not root.exists() and not run.exists():
        return []
    identity = suite.identify(layout)
    if identity is None:
        return _purge_agent(layout, clean_node)
    suite.check_directory(root, "--root", layout.marker)
    done = ["stopped the suite"] if down(run) else []
    clean_node(layout, identity.token)
    done.append("removed its containers, mounts and networks")
    for path, marker in ((run, layout.run_marker), (root, layout.marker)):
        if marker.exists():
            _remove_tree(path)
            done.append(f"removed {path}")
    return done


def stays() -> list[str]:
    """What a purge leaves, as it isn't the suite's alone, in words."""
    from seaway_agent.runtime.apparmor import is_loaded

    words = "left the AppArmor profile docker-default loaded: other engines' containers may run under it"
    return [words] if is_loaded() else []


def _purge_agent(layout: Layout, clean_node: Callable[[Layout, str], None]) -> list[str]:
    """Only what agents make is removed; other things in these directories stay."""
    if not lone_agent.databases(layout) and not layout.node_key.exists():
        raise CliError(
            f"{layout.root} has no suite.json and no agent's database, so it is not Seaway's: nothing was removed"
        )
    done = lone_agent.stop(layout)
    clean_node(layout, "")
    lone_agent.check_stopped(layout)
    done.append("removed the agent's containers, mounts and networks")
    if layout.joined.exists():
        _remove_tree(layout.joined)
        done.append(f"removed {layout.joined}, and with it the node's key: `seaway node rm` ends its membership")
    for parent in (layout.run, layout.root):
        if (parent / "agent").exists():
            _remove_tree(parent / "agent")
            done.append(f"removed {parent / 'agent'}")
        with contextlib.suppress(OSError):
            parent.rmdir()
    return done


def _remove_tree(path: Path) -> None:
    """Remove a directory, or what is in it where it is a mount point itself.

    Raises CliError if something is mounted in it, for that may be somebody's data.
    """
    mountinfo = Path("/proc/self/mountinfo").read_text()
    mounted = mounts_below(path, mountinfo)
    if mounted:
        raise CliError(f"{mounted[0]} is still mounted: unmount it, then purge again")
    try:
        for child in path.iterdir() if str(path) in mount_points(mountinfo) else (path,):
            shutil.rmtree(child) if child.is_dir() and not child.is_symlink() else child.unlink()
    except OSError as error:
        raise CliError(f"can't remove {error.filename or path}: {error.strerror}") from None


def mounts_below(path: Path, mountinfo: str) -> list[str]:
    """The mount points inside `path` (not itself), deepest last."""
    return sorted(point for point in mount_points(mountinfo) if point.startswith(f"{path}{os.sep}"))


def mount_points(mountinfo: str) -> list[str]:
    """Where something is mounted (proc(5), mountinfo)."""
    return [line.split()[4].encode().decode("unicode_escape") for line in mountinfo.splitlines() if line]


def agent_purge(layout: Layout, token: str) -> None:
    """Let the agent's own code remove what this machine's nodes made. Raises CliError, OSError."""
    from seaway_agent.network.errors import NetworkError
    from seaway_agent.node.purge import purge as purge_node
    from seaway_agent.settings import AgentSettings

    try:
        purge_node(AgentSettings(root=layout.root, run=layout.run, suite=token))
    except NetworkError as error:
        raise CliError(f"the suite's network could not be removed: {error}") from None
    except SeawayError as error:
        raise CliError(f"nothing was removed: {error}") from None
    except sqlite3.Error as error:
        raise CliError(f"a node's database below {layout.root / 'agent'} can't be read: {error}") from None
