import signal
import subprocess
from pathlib import Path

import pytest

from seaway_cli import commands
from seaway_cli.errors import CliError
from seaway_cli.layout import Layout
from seaway_cli.suite import Suite


@pytest.fixture
def layout(tmp_path: Path) -> Layout:
    made = Layout(tmp_path / "root", tmp_path / "run")
    for path in (made.root, made.run):
        path.mkdir()
    Suite("abcdef").save(made.marker)
    Suite("abcdef").save(made.run_marker)
    return made


def test_purge_cleans_the_node_then_removes_directories(layout: Layout) -> None:
    seen: list[tuple[str, bool]] = []
    done = commands.purge(layout, lambda place, token: seen.append((token, place.root.exists())))
    assert seen == [("abcdef", True)]
    assert not layout.root.exists()
    assert not layout.run.exists()
    assert done[-1] == f"removed {layout.root}"


@pytest.mark.parametrize("left", [True, False])
def test_what_isnt_the_suites_alone_stays_and_is_told(left: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("seaway_agent.runtime.apparmor.is_loaded", lambda: left)
    assert any("docker-default" in line for line in commands.stays()) is left


def test_purge_twice_does_nothing(layout: Layout) -> None:
    commands.purge(layout, lambda *_: None)
    assert commands.purge(layout, lambda *_: pytest.fail("called")) == []


def test_purge_after_a_reboot_has_no_run_directory(layout: Layout) -> None:
    layout.run_marker.unlink()
    layout.run.rmdir()
    commands.purge(layout, lambda *_: None)
    assert not layout.root.exists()


def test_purge_leaves_what_is_not_a_suite(layout: Layout) -> None:
    layout.marker.unlink()
    layout.run_marker.unlink()
    (layout.root / "thesis").touch()
    with pytest.raises(CliError, match="no suite"):
        commands.purge(layout, lambda *_: pytest.fail("called"))
    assert (layout.root / "thesis").exists()


def test_purge_touches_no_other_suite(layout: Layout, tmp_path: Path) -> None:
    other = Layout(tmp_path / "other", layout.run)
    other.root.mkdir()
    Suite("012345").save(other.marker)
    for root in (other.root, tmp_path / "typo"):
        Suite("abcdef").at(layout).save(layout.run_marker)
        with pytest.raises(CliError, match="belongs to"):
            commands.purge(Layout(root, layout.run), lambda *_: pytest.fail("called"))
    assert layout.run_marker.exists()
    assert other.marker.exists()


@pytest.fixture
def alone(tmp_path: Path) -> Layout:
    """An agent's directories, beside something else."""
    made = Layout(tmp_path / "root", tmp_path / "run")
    (made.root / "agent" / "n2").mkdir(parents=True)
    (made.root / "agent" / "n2" / "agent.db").touch()
    (made.run / "agent" / "n2").mkdir(parents=True)
    (made.root / "thesis").touch()
    return made


def test_purge_removes_the_key_of_a_join_that_was_interrupted(tmp_path: Path) -> None:
    layout = Layout(tmp_path / "root", tmp_path / "run")
    layout.joined.mkdir(parents=True)
    layout.node_key.touch()
    done = commands.purge(layout, lambda *_: None)
    assert f"removed {layout.joined}, and with it the node's key" in done[-1]
    assert list(tmp_path.iterdir()) == []


def test_purge_of_an_agent_alone_takes_only_what_is_its_own(alone: Layout) -> None:
    seen: list[str] = []
    done = commands.purge(alone, lambda _, token: seen.append(token))
    assert seen == [""]
    assert [path.name for path in alone.root.iterdir()] == ["thesis"]
    assert not alone.run.exists()
    assert done[-1] == f"removed {alone.root / 'agent'}"


def test_purge_of_a_machine_whose_join_was_interrupted(tmp_path: Path) -> None:
    layout = Layout(tmp_path / "root", tmp_path / "run")
    layout.joined.mkdir(parents=True)
    layout.node_key.touch()
    assert commands.purge(layout, lambda *_: None)[-1].startswith(f"removed {layout.joined}")
    assert list(tmp_path.iterdir()) == []


def test_purge_of_an_agent_that_is_started_again(alone: Layout) -> None:
    holders: list[subprocess.Popen[bytes]] = []
    database = alone.root / "agent" / "n2" / "agent.db"

    def start_again(_: Layout, __: str) -> None:
        with database.open() as file:
            holders.append(subprocess.Popen(["sleep", "60"], stdin=file))

    try:
        with pytest.raises(CliError, match="was started again"):
            commands.purge(alone, start_again)
        assert database.exists()
        done = commands.purge(alone, lambda *_: None)
        assert done[0] == f"stopped the agent (process {holders[0].pid})"
        assert holders[0].wait(5) == -signal.SIGTERM
    finally:
        for holder in holders:
            holder.kill()
            holder.wait()


def test_purge_keeps_an_unmarked_directory_beside_a_marked_one(layout: Layout) -> None:
    layout.run_marker.unlink()
    commands.purge(layout, lambda *_: None)
    assert layout.run.exists()


def test_mounts_below() -> None:
    lines = [
        "22 1 8:1 / / rw - ext4 /dev/sda1 rw",
        "30 22 0:5 / /srv/root rw - tmpfs tmpfs rw",
        "31 30 0:6 / /srv/root/a rw shared:1 - overlay overlay rw",
        "32 30 0:7 / /srv/root/with\\040space rw - tmpfs tmpfs rw",
        "33 22 0:8 / /srv/rootless rw - tmpfs tmpfs rw",
    ]
    assert commands.mounts_below(Path("/srv/root"), "\n".join(lines)) == ["/srv/root/a", "/srv/root/with space"]


def test_status_and_down_without_a_suite(tmp_path: Path) -> None:
    with pytest.raises(CliError, match="no suite runs in"):
        commands.status(tmp_path)
    assert commands.down(tmp_path) is False
