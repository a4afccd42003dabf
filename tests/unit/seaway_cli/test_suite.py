from pathlib import Path

import pytest

from seaway_cli import suite
from seaway_cli.errors import CliError
from seaway_cli.layout import Layout
from seaway_cli.suite import Suite


def test_identity_is_kept(tmp_path: Path) -> None:
    made = suite.new()
    assert len(bytes.fromhex(made.token)) == 3
    marker = tmp_path / "suite.json"
    assert suite.load(marker) is None
    Suite(made.token, 14222).save(marker)
    assert suite.load(marker) == Suite(made.token, 14222)
    assert [path.name for path in tmp_path.iterdir()] == ["suite.json"]


@pytest.mark.parametrize("text", ["", "{}", "[]", "{", '{"token": "a", "nats_port": "x"}'])
def test_damaged_identity(tmp_path: Path, text: str) -> None:
    (tmp_path / "suite.json").write_text(text)
    with pytest.raises(CliError, match="is damaged"):
        suite.load(tmp_path / "suite.json")


def test_identity_of_other_releases(tmp_path: Path) -> None:
    marker = tmp_path / "suite.json"
    marker.write_text('{"token": "abcdef", "nats_port": 14222}')
    assert suite.load(marker) == Suite("abcdef", 14222)
    marker.write_text('{"version": 2, "token": "abcdef", "more": 1}')
    with pytest.raises(CliError, match=r"suite.json was written by a later release \(schema 2, this one knows 1\)"):
        suite.load(marker)


@pytest.mark.parametrize("path", ["/", "/var", "/home", "/var/lib", "/usr/local", "/tmp"])
def test_directories_that_are_everybodys(path: str) -> None:
    with pytest.raises(CliError, match="no directory to give away"):
        suite.check_directory(Path(path), "--root", Path(path, "suite.json"))


def test_directory_in_use_by_something_else(tmp_path: Path) -> None:
    marker = tmp_path / "suite.json"
    suite.check_directory(tmp_path, "--root", marker)
    (tmp_path / "lost+found").mkdir()
    (tmp_path / "run").mkdir()
    suite.check_directory(tmp_path, "--root", marker, inside=tmp_path / "run")
    with pytest.raises(CliError, match="it holds 'run', but no suite"):
        suite.check_directory(tmp_path, "--root", marker)
    marker.touch()
    suite.check_directory(tmp_path, "--root", marker)


def test_file_in_the_place_of_a_directory(tmp_path: Path) -> None:
    (tmp_path / "root").touch()
    with pytest.raises(CliError, match="is not a directory"):
        suite.check_directory(tmp_path / "root", "--root", tmp_path / "root" / "suite.json")


def test_prepared_makes_directories(tmp_path: Path) -> None:
    layout = Layout(tmp_path / "a" / "root", tmp_path / "a" / "run")
    with suite.prepared(layout):
        assert layout.secrets.is_dir()
    assert layout.logs.is_dir()
    assert not list(layout.root.glob(".writable"))


def test_failure_takes_back_what_was_made(tmp_path: Path) -> None:
    layout = Layout(tmp_path / "a" / "root", tmp_path / "a" / "run")
    layout.root.mkdir(parents=True)
    with pytest.raises(KeyError), suite.prepared(layout):
        (layout.run / "seaway.lock").touch()
        raise KeyError
    assert layout.root.is_dir()
    assert not layout.secrets.exists()
    assert not layout.run.exists()


def test_directory_that_can_not_be_made(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    layout = Layout(tmp_path / "root", tmp_path / "file" / "run")
    with pytest.raises(CliError, match=f"can't write to {tmp_path}/file/run: Not a directory"), suite.prepared(layout):
        pass
    assert not layout.root.exists()


def test_identity_that_can_not_be_written(tmp_path: Path) -> None:
    (tmp_path / "suite.json").mkdir()
    with pytest.raises(CliError, match="Is a directory"):
        Suite("abcdef").save(tmp_path / "suite.json")
    assert [path.name for path in tmp_path.iterdir()] == ["suite.json"]


@pytest.fixture
def places(tmp_path: Path) -> Layout:
    made = Layout(tmp_path / "root", tmp_path / "run")
    made.root.mkdir()
    made.run.mkdir()
    return made


def test_suite_of_two_directories(places: Layout) -> None:
    assert suite.identify(places) is None
    mine = Suite("abcdef").at(places)
    mine.save(places.run_marker)
    assert suite.identify(places) == mine
    mine.save(places.marker)
    assert suite.identify(places) == mine
    places.run_marker.unlink()
    assert suite.identify(places) == mine


def test_directories_of_two_suites(places: Layout, tmp_path: Path) -> None:
    Suite("abcdef", root="/srv/a", run=str(places.run)).save(places.run_marker)
    Suite("012345", root=str(places.root), run="/run/b").save(places.marker)
    with pytest.raises(CliError, match=r"another suite \(that of --root /srv/a\) than --root .*: pass --run /run/b$"):
        suite.identify(places)
    Suite("012345").save(places.marker)
    with pytest.raises(CliError, match="pass the --run that goes with it"):
        suite.identify(places)
    places.marker.unlink()
    with pytest.raises(CliError, match=r"belongs to the suite of --root /srv/a, and --root .* to none"):
        suite.identify(places)


def test_root_that_was_moved(places: Layout) -> None:
    for marker in (places.marker, places.run_marker):
        Suite("abcdef", root="/srv/before", run=str(places.run)).save(marker)
    assert suite.identify(places) is not None


@pytest.fixture
def started(places: Layout) -> Layout:
    for marker in (places.marker, places.run_marker):
        Suite("abcdef").at(places).save(marker)
    return places


def test_either_directory_names_its_suite(started: Layout) -> None:
    for root, run in ((started.root, None), (None, started.run), (started.root, started.run)):
        assert suite.run_of(root, run) == started.run
        assert suite.layout_of(root, run) == started


def test_after_a_reboot_the_root_names_the_run_directory(started: Layout) -> None:
    started.run_marker.unlink()
    started.run.rmdir()
    assert suite.layout_of(started.root, None) == started


def test_a_run_directory_that_another_suite_has_taken(started: Layout, tmp_path: Path) -> None:
    Suite("012345", root=str(tmp_path / "other"), run=str(started.run)).save(started.run_marker)
    for find in (suite.run_of, suite.layout_of):
        with pytest.raises(CliError, match="belongs to another suite"):
            find(started.root, None)
    with pytest.raises(CliError, match="belongs to the suite of"):
        suite.run_of(tmp_path / "typo", started.run)


def test_directories_that_are_no_suites_yet(tmp_path: Path) -> None:
    assert suite.layout_of(tmp_path / "a", tmp_path / "b") == Layout(tmp_path / "a", tmp_path / "b")


def test_without_options_the_default_directories_name_the_suite(
    started: Layout, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(suite, "ROOT", started.root)
    monkeypatch.setattr(suite, "RUN", tmp_path / "nothing")
    assert suite.layout_of(None, None) == started
    monkeypatch.setattr(suite, "ROOT", tmp_path / "nothing")
    monkeypatch.setattr(suite, "RUN", started.run)
    assert suite.layout_of(None, None) == started
