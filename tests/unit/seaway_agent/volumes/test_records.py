"""The records of volumes on a real directory: which come, stay, are lost and go."""

import errno
from pathlib import Path

import pytest
from tests.unit.seaway_agent.volumes.rig import (
    ANONYMOUS,
    made,
    names,
    opened,
    record,
    reserved,
    spec_with,
    there,
    volume,
)

from seaway_agent.volumes import directories
from seaway_agent.volumes.volumes import Volumes
from seaway_contracts.containers import ContainerSpec
from seaway_contracts.errors import Code, SeawayError
from seaway_testing import builders


def test_a_volume_has_its_record_and_keeps_it(tmp_path: Path) -> None:
    before = opened(tmp_path)
    given = record("one", labels={"a": "b"}, made_for=builders.spec(1).id)
    spec = spec_with(volume("one"), volume(ANONYMOUS, "/b", anonymous=True, volume_labels={"c": "d"}))
    before.reserve(spec, [given])
    assert names(before.created_with(spec)) == ["one", ANONYMOUS]
    before.commit(spec)
    after = opened(tmp_path)
    after.start([spec])
    held = after.listed(())
    assert held == before.listed(())
    assert held[given.id] == given.model_copy(update={"made_for": ""})
    assert held[ANONYMOUS].labels == {"c": "d"}
    assert held[ANONYMOUS].anonymous and held[ANONYMOUS].node == "n1"
    assert not after._directories.marks("one")
    before.close()
    after.close()


def test_only_volumes_that_come_with_a_container_are_told(volumes: Volumes) -> None:
    """One that a user made, and that this node had not yet, was told when it was made."""
    spec = spec_with(volume("users"), volume("others"), volume("own"), volume(ANONYMOUS, anonymous=True))
    given = [record("users"), record("others", made_for="f" * 64), record("own", made_for=spec.id)]
    volumes.reserve(spec, given)
    assert [one.id for one in volumes.created_with(spec)] == ["id-of-own", ANONYMOUS]
    volumes.rollback(spec)
    assert volumes.created_with(spec) == () and volumes.listed(()) == {}


def test_a_volume_that_was_removed_is_not_made_again(tmp_path: Path) -> None:
    volumes = opened(tmp_path, ["id-of-one"])
    with pytest.raises(SeawayError, match="get one: no such volume") as refused:
        volumes.reserve(spec_with(volume("two"), volume("one")), [record("two"), record("one")])
    assert refused.value.code is Code.NOT_FOUND
    with pytest.raises(SeawayError, match="get one: no such volume"):
        volumes.make(record("one"))
    assert there(tmp_path) == []
    volumes.make(record("one", "another"))
    assert there(tmp_path) == ["one"]
    volumes.close()


def test_an_anonymous_one_that_went_with_its_container_is_not_made_again(volumes: Volumes, tmp_path: Path) -> None:
    """For one with the volumes of the first, which was registered before that was removed."""
    volumes.release(made(volumes, volume(ANONYMOUS, anonymous=True)), anonymous=True)
    with pytest.raises(SeawayError, match="no such volume"):
        volumes.reserve(spec_with(volume(ANONYMOUS), number=2), [record(ANONYMOUS, ANONYMOUS, anonymous=True)])
    assert there(tmp_path) == []


def test_another_volume_of_that_name_is_left_alone(volumes: Volumes, tmp_path: Path) -> None:
    volumes.make(record("one"))
    (tmp_path / "one/_data/file").write_text("x")
    for refused in (lambda: volumes.make(record("one", "2")), lambda: reserved(volumes, record("one", "2"))):
        with pytest.raises(SeawayError, match=r"node n1 has another volume one .id-of-one.*choose another") as told:
            refused()
        assert told.value.code is Code.CONFLICT
    assert (tmp_path / "one/_data/file").read_text() == "x"
    assert list(volumes.listed(())) == ["id-of-one"]


@pytest.mark.parametrize("text", [None, "", "{", '{"id":"1","name":"other","created_ns":1}'])
def test_a_directory_without_a_record_gets_the_one_that_comes(tmp_path: Path, text: str | None) -> None:
    for name in ("old", ANONYMOUS):
        (tmp_path / name / "_data").mkdir(parents=True)
        if text is not None:
            (tmp_path / name / "volume.json").write_text(text)
    (tmp_path / "old/_data/file").write_text("x")
    volumes = opened(tmp_path)
    volumes.start(())
    assert set(volumes.listed(())) == {"old", ANONYMOUS}
    assert volumes.listed(())[ANONYMOUS].anonymous
    volumes.make(record("old"))
    volumes.close()
    again = opened(tmp_path)
    again.start(())
    again.close()
    assert set(again.listed(())) == {"id-of-old", ANONYMOUS}
    assert (tmp_path / "old/_data/file").read_text() == "x"


def test_one_that_came_without_a_record_gets_the_one_that_a_container_brings(tmp_path: Path) -> None:
    (tmp_path / "one/_data").mkdir(parents=True)
    volumes = opened(tmp_path)
    volumes.start(())
    first = spec_with(volume("one"))
    volumes.reserve(first)
    assert list(volumes.listed(())) == ["one"], "it is here"
    second = reserved(volumes, record("one"), number=2)
    volumes.rollback(second)
    assert volumes.listed(()) == {"id-of-one": record("one")}
    volumes.close()


def test_a_new_one_without_a_record_is_not_made(volumes: Volumes, tmp_path: Path) -> None:
    """Nobody would see it."""
    with pytest.raises(SeawayError, match="get one: no such volume") as refused:
        volumes.reserve(spec_with(volume("two"), volume("one")), [record("two")])
    assert refused.value.code is Code.NOT_FOUND
    assert there(tmp_path) == []


NFS = {"type": "nfs", "device": ":/export", "o": "addr=10.0.0.1"}


def after_a_power_cut(root: Path, *specs: ContainerSpec) -> Volumes:
    """The volumes of the next agent, where no record was on the disk yet."""
    for place in root.iterdir():
        (place / "volume.json").write_bytes(b"")
    found = opened(root)
    found.start(specs)
    return found


def test_one_whose_record_is_lost_is_removed_by_its_name(volumes: Volumes, tmp_path: Path) -> None:
    """Else the next volume of that name would have its data."""
    volumes.make(record("one"))
    (tmp_path / "one/_data/secret").touch()
    spec = reserved(volumes, record("one"))
    volumes.commit(spec)
    after = after_a_power_cut(tmp_path, spec)
    with pytest.raises(SeawayError, match="volume is in use"):
        after.check_unused("id-of-one", "one")
    after.release(spec, anonymous=True)
    after.check_unused("id-of-one", "one")
    after.remove("id-of-one", "one")
    after.make(record("one", "2"))
    assert list((tmp_path / "one/_data").iterdir()) == []
    after.remove("3", "one")
    assert set(after.listed(())) == {"2"}, "the record of another one"
    after.close()


def test_one_whose_record_is_lost_is_not_used_before_it_comes_again(volumes: Volumes, tmp_path: Path) -> None:
    """It may be a mount of a server, whose data would be missing in a plain directory."""
    spec = reserved(volumes, record("one", options=NFS))
    volumes.commit(spec)
    for again in (after_a_power_cut(tmp_path, spec), after_a_power_cut(tmp_path, spec)):
        with pytest.raises(
            SeawayError, match=r"volume one can't be used: node n1 can't read its record, .*volume.json"
        ):
            again.ready("one")
        again.close()
    with pytest.raises(SeawayError, match="volume one can't be used"):
        again.reserve(spec_with(volume("one"), number=2))
    reserved(again, record("one", options=NFS), number=2)
    assert again.ready("one").is_dir()
    held = again.held("one")
    assert held is not None and (held.id, held.options) == ("id-of-one", NFS)
    last = opened(tmp_path)
    last.start([spec])
    assert last.held("one") == held
    last.close()


def test_the_lost_record_of_an_anonymous_one_is_made_of_its_container(volumes: Volumes, tmp_path: Path) -> None:
    spec = made(volumes, volume(ANONYMOUS, anonymous=True, volume_options=NFS, volume_labels={"a": "b"}))
    before = volumes.held(ANONYMOUS)
    after = after_a_power_cut(tmp_path, spec)
    assert before is not None and after.ready(ANONYMOUS).is_dir()
    assert after.held(ANONYMOUS) == before.model_copy(update={"created_ns": after.record(spec.mounts[0]).created_ns})
    after.close()


async def test_what_has_a_name_or_options_is_synced(
    volumes: Volumes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An anonymous volume costs a create no wait for the disk."""
    synced: list[str] = []
    monkeypatch.setattr(directories, "_sync", lambda path: synced.append(path.name))
    mounts = [volume("one"), volume(ANONYMOUS, "/a", anonymous=True)]
    mounts.append(volume("b" * 64, "/b", anonymous=True, volume_options=NFS))
    spec = spec_with(*mounts)
    volumes.reserve(spec, [record("one")])
    for _ in range(2):
        await volumes.sync(mount.source for mount in mounts)
    assert [name for name in synced if name not in ("volume.json", tmp_path.name)] == ["one", "b" * 64]


def test_the_same_one_is_made_once(volumes: Volumes, tmp_path: Path) -> None:
    volumes.make(record("one"))
    (tmp_path / "one/_data/file").write_text("x")
    volumes.make(record("one"))
    assert (tmp_path / "one/_data/file").read_text() == "x"
    assert volumes.listed(()) == {"id-of-one": record("one")}


def test_one_that_a_user_makes_meanwhile_stays(volumes: Volumes, tmp_path: Path) -> None:
    spec = reserved(volumes, record("one"))
    volumes.make(record("one"))
    volumes.rollback(spec)
    assert there(tmp_path) == ["one"] and there(tmp_path / "one") == ["_data", "volume.json"]


def test_what_is_being_made_is_not_listed(volumes: Volumes) -> None:
    spec = reserved(volumes, record("one"))
    assert volumes.listed(()) == {}
    assert list(volumes.listed({spec.id})) == ["id-of-one"], "its container is recorded"


def test_one_in_use_is_not_removed(volumes: Volumes, tmp_path: Path) -> None:
    first, second = reserved(volumes, record("one")), reserved(volumes, record("one"), number=2)
    volumes.commit(first)
    ids = ", ".join(sorted((first.id, second.id)))
    with pytest.raises(SeawayError, match=rf"remove one: volume is in use - \[{ids}\]") as refused:
        volumes.check_unused("id-of-one", "one")
    assert refused.value.code is Code.CONFLICT
    volumes.rollback(second)
    volumes.release(first, anonymous=True)
    volumes.check_unused("id-of-one", "one")
    volumes.check_unused("unknown", "one")
    volumes.remove("id-of-one", "one")
    volumes.remove("id-of-one", "one")
    assert there(tmp_path) == [] and volumes.listed(()) == {}


def test_a_removal_that_a_kill_interrupted_is_finished(tmp_path: Path) -> None:
    before = opened(tmp_path)
    for name in ("one", "two", "three"):
        before.make(record(name))
    before.close()
    after = opened(tmp_path, ["id-of-one", "id-of-two"])
    after.start([spec_with(volume("two"))])
    after.close()
    assert there(tmp_path) == ["three", "two"], "one with a container stays, whatever was written down"


def test_data_that_a_link_has_replaced_is_refused(volumes: Volumes, tmp_path: Path) -> None:
    volumes.make(record("one"))
    (tmp_path / "one/_data").rmdir()
    (tmp_path / "one/_data").symlink_to("/etc")
    with pytest.raises(SeawayError, match=r"volume one can't be used: .*/one/_data is a link"):
        volumes.ready("one")
    with pytest.raises(SeawayError, match="is a link"):
        reserved(volumes, record("one"))


def test_a_record_that_can_not_be_written_leaves_nothing(
    volumes: Volumes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(directories, "_write", full)
    with pytest.raises(SeawayError, match="volume one can't be made: No space left on device") as refused:
        volumes.make(record("one"))
    assert refused.value.code is Code.NO_SPACE
    assert list(tmp_path.iterdir()) == [] and volumes.listed(()) == {}
