"""Volumes on a real directory: who holds them, what is new, and what is left after a kill."""

import errno
from collections.abc import Container, Iterable, Iterator
from pathlib import Path

import pytest

from seaway_agent.volumes import directories
from seaway_agent.volumes.directories import VolumeDirectories
from seaway_agent.volumes.volumes import Volumes
from seaway_contracts.containers import ContainerSpec, Mount
from seaway_contracts.errors import Code, SeawayError
from seaway_contracts.volumes import VolumeRecord
from seaway_testing import builders

ANONYMOUS = "a" * 64


def spec_with(*mounts: Mount, number: int = 1) -> ContainerSpec:
    return builders.spec(number, mounts=mounts)


def volume(name: str, target: str = "/v", **more: object) -> Mount:
    return Mount.model_validate({"type": "volume", "source": name, "target": target, **more})


def record(name: str, identifier: str = "", **more: object) -> VolumeRecord:
    found = {"id": identifier or f"id-of-{name}", "name": name, "created_ns": 7, "node": "n1", **more}
    return VolumeRecord.model_validate(found)


def opened(root: Path, removed: Container[str] = ()) -> Volumes:
    """The volumes of a node that has removed those."""
    return Volumes(root, "n1", removed.__contains__)


@pytest.fixture
def volumes(tmp_path: Path) -> Iterator[Volumes]:
    found = opened(tmp_path)
    found.start(())
    yield found
    found.close()


def there(root: Path) -> list[str]:
    return sorted(entry.name for entry in root.iterdir() if not entry.name.startswith(".trash-"))


def names(records: Iterable[VolumeRecord]) -> list[str]:
    return [record.name for record in records]


def made(volumes: Volumes, *mounts: Mount, number: int = 1) -> ContainerSpec:
    """A container that has been made."""
    spec = spec_with(*mounts, number=number)
    volumes.reserve(spec, records(spec))
    volumes.commit(spec)
    return spec


def records(spec: ContainerSpec) -> list[VolumeRecord]:
    """Those of its volumes with a name."""
    named = {mount.source for mount in spec.mounts if mount.type == "volume" and not mount.anonymous}
    return [record(name, name, anonymous=True) if name == ANONYMOUS else record(name) for name in sorted(named)]


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


# --- records


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


def reserved(volumes: Volumes, *records: VolumeRecord, number: int = 1) -> ContainerSpec:
    spec = spec_with(*(volume(one.name) for one in records), number=number)
    volumes.reserve(spec, records)
    return spec


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
