"""Volumes on a real directory: who holds them, what is new, and what is left after a kill."""

import errno
from pathlib import Path

import pytest
from tests.unit.seaway_agent.volumes.rig import (
    ANONYMOUS,
    made,
    names,
    opened,
    record,
    records,
    reserved,
    spec_with,
    there,
    volume,
)

from seaway_agent.volumes.directories import VolumeDirectories
from seaway_agent.volumes.volumes import Volumes
from seaway_contracts.containers import Mount
from seaway_contracts.errors import Code, SeawayError


@pytest.mark.parametrize("name", ["", ".", "..", ".hidden", "a/b", "../x", "a\0b", "/abs"])
def test_a_name_that_would_leave_the_volumes_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(SeawayError) as refused:
        opened(tmp_path).path(name)
    assert refused.value.code is Code.BAD_REQUEST


def test_making_volumes_leaves_binds_alone(volumes: Volumes, tmp_path: Path) -> None:
    spec = spec_with(
        volume("one"), volume("one", "/again"), Mount(type="bind", source="/nowhere", target="/b"),
        Mount(type="tmpfs", target="/t"),
    )  # fmt: skip
    volumes.reserve(spec, [record("one", made_for=spec.id)])
    assert names(volumes.created_with(spec)) == ["one"]
    assert there(tmp_path / "one") == ["_data", f"for-{spec.id}", "volume.json"]
    volumes.commit(spec)
    assert volumes.created_with(spec) == ()
    assert there(tmp_path) == ["one"]
    assert there(tmp_path / "one") == ["_data", "volume.json"]
    assert (tmp_path / "one/_data").stat().st_mode & 0o7777 == 0o755


def test_a_volume_that_is_there_is_kept(volumes: Volumes, tmp_path: Path) -> None:
    made(volumes, volume("one"))
    (tmp_path / "one/_data/file").write_text("x")
    again = spec_with(volume("one"), number=2)
    volumes.reserve(again)
    assert volumes.created_with(again) == ()
    volumes.rollback(again)
    assert (tmp_path / "one/_data/file").read_text() == "x"


def test_a_volume_whose_data_somebody_has_removed_gets_it_again(volumes: Volumes, tmp_path: Path) -> None:
    (tmp_path / "one").mkdir()
    made(volumes, volume("one"))
    assert there(tmp_path / "one") == ["_data", "volume.json"]


def test_one_that_can_not_be_made_takes_those_before_it_along(volumes: Volumes, tmp_path: Path) -> None:
    (tmp_path / "two").write_text("in the way")
    spec = spec_with(volume("one"), volume(ANONYMOUS, anonymous=True), volume("two"), volume("three"))
    with pytest.raises(SeawayError, match="volume two can't be made: Not a directory"):
        volumes.reserve(spec, records(spec))
    assert there(tmp_path) == ["two"]


def test_what_another_container_has_taken_up_meanwhile_is_not_given_back(volumes: Volumes, tmp_path: Path) -> None:
    first, second = spec_with(volume("one"), volume("own")), spec_with(volume("one"), number=2)
    volumes.reserve(first, records(first))
    volumes.reserve(second, records(second))
    volumes.commit(second)
    volumes.release(second, anonymous=True)
    (tmp_path / "one/_data/written").touch()
    volumes.rollback(first)
    assert there(tmp_path) == ["one"]
    again = opened(tmp_path)
    again.start(())
    again.close()
    assert there(tmp_path) == ["one"]


def test_anonymous_volumes_go_named_ones_stay(volumes: Volumes, tmp_path: Path) -> None:
    anonymous = [volume(ANONYMOUS, target, anonymous=True) for target in ("/a", "/b")]
    spec = made(volumes, volume("named"), *anonymous)
    assert volumes.release(spec, anonymous=False) == ()
    assert there(tmp_path) == [ANONYMOUS, "named"]
    assert names(volumes.release(spec, anonymous=True)) == [ANONYMOUS]
    assert there(tmp_path) == ["named"]
    assert names(volumes.release(spec, anonymous=True)) == [ANONYMOUS], "an agent that was killed had removed it"
    volumes.close()
    assert list(tmp_path.iterdir()) == [tmp_path / "named"]


@pytest.mark.parametrize("restarted", [False, True])
def test_an_anonymous_one_stays_while_another_container_has_it(tmp_path: Path, restarted: bool) -> None:
    volumes = opened(tmp_path)
    mount = volume(ANONYMOUS, anonymous=True)
    specs = [made(volumes, mount, number=number) for number in (1, 2)]
    specs.append(made(volumes, volume(ANONYMOUS), number=3))
    if restarted:
        volumes.close()
        volumes = opened(tmp_path)
        volumes.start(specs)
    assert volumes.release(specs[0], anonymous=True) == ()
    assert volumes.release(specs[2], anonymous=True) == (), "by its name it is no longer anonymous"
    assert there(tmp_path) == [ANONYMOUS]
    assert names(volumes.release(specs[1], anonymous=True)) == [ANONYMOUS]
    assert there(tmp_path) == []
    volumes.close()


def test_after_a_kill_what_was_made_for_no_container_goes(tmp_path: Path) -> None:
    before = opened(tmp_path)
    dangling = made(before, volume(ANONYMOUS, anonymous=True), number=1)
    before.release(dangling, anonymous=False)
    begun, known = spec_with(volume("b" * 64, anonymous=True), volume("new")), spec_with(volume("kept"), number=2)
    before.reserve(begun, records(begun))
    before.reserve(known, records(known))
    (tmp_path / ".new-0/_data").mkdir(parents=True)
    (tmp_path / ".trash-0/_data").mkdir(parents=True)
    (tmp_path / "lost+found").mkdir()
    after = opened(tmp_path)
    after.start([known])
    after.close()
    assert sorted(entry.name for entry in tmp_path.iterdir()) == [ANONYMOUS, "kept", "lost+found"]
    assert there(tmp_path / "kept") == ["_data", "volume.json"]


class Stuck:
    """No mark of a container can be removed, while `on`."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.on = True
        real = VolumeDirectories.unmark

        def unmark(self_: VolumeDirectories, name: str, container: str) -> None:
            if self.on:
                raise OSError(errno.EIO, "Input/output error")
            real(self_, name, container)

        monkeypatch.setattr(VolumeDirectories, "unmark", unmark)


@pytest.fixture
def stuck(monkeypatch: pytest.MonkeyPatch) -> Stuck:
    return Stuck(monkeypatch)


@pytest.mark.parametrize("restarted", [False, True])
def test_a_mark_that_stays_costs_no_data(tmp_path: Path, stuck: Stuck, restarted: bool) -> None:
    """Its container isn't removed before it."""
    volumes = opened(tmp_path)
    spec = spec_with(volume("one"))
    volumes.reserve(spec, [record("one", made_for=spec.id)])
    volumes.commit(spec)
    assert list(volumes.listed({spec.id})) == ["id-of-one"]
    (tmp_path / "one/_data/precious").touch()
    if restarted:
        volumes.close()
        volumes = opened(tmp_path)
        volumes.start([spec])
    with pytest.raises(OSError, match="Input/output error"):
        volumes.release(spec, anonymous=True)
    stuck.on = False
    volumes.release(spec, anonymous=True)
    assert there(tmp_path / "one") == ["_data", "volume.json"]
    volumes.close()
    after = opened(tmp_path)
    after.start(())
    after.close()
    assert list(after.listed(())) == ["id-of-one"] and (tmp_path / "one/_data/precious").exists()


def test_a_mark_that_stays_keeps_others_from_the_volume(volumes: Volumes, tmp_path: Path, stuck: Stuck) -> None:
    """The failure of the first must not take away what they have written."""
    first = reserved(volumes, record("one"))
    for use in (lambda: volumes.make(record("one")), lambda: reserved(volumes, record("one"), number=2)):
        with pytest.raises(SeawayError, match="volume one can't be made: Input/output error"):
            use()
    stuck.on = False
    reserved(volumes, record("one"), number=2)
    volumes.rollback(first)
    assert there(tmp_path / "one") == ["_data", "volume.json"]


def test_one_with_a_stuck_mark_and_another_user_is_listed(tmp_path: Path, stuck: Stuck) -> None:
    before = opened(tmp_path)
    reserved(before, record("one"))
    after = opened(tmp_path)
    after.start([spec_with(volume("one"), number=2)])
    assert list(after.listed(())) == ["id-of-one"]
    before.close()
    after.close()


def test_after_a_power_cut_no_data_goes(tmp_path: Path) -> None:
    """The database may have lost the container for which the volume was made."""
    before = opened(tmp_path)
    reserved(before, record("written"), record("empty"))
    (tmp_path / "written/_data/precious").touch()
    before.close()
    after = opened(tmp_path)
    after.start((), whole=False)
    after.close()
    assert there(tmp_path) == ["written"] and there(tmp_path / "written") == ["_data", "volume.json"]
