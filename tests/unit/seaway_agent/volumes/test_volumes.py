"""Volumes on a real directory: who holds them, what is new, and what is left after a kill."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from seaway_agent.archive.view import Place, Stack
from seaway_agent.volumes.volumes import VolumeMount, Volumes
from seaway_contracts.containers import ContainerSpec, Mount
from seaway_contracts.errors import Code, SeawayError
from seaway_testing import builders

ANONYMOUS = "a" * 64


def spec_with(*mounts: Mount, number: int = 1) -> ContainerSpec:
    return builders.spec(number, mounts=mounts)


def volume(name: str, target: str = "/v", **more: object) -> Mount:
    return Mount.model_validate({"type": "volume", "source": name, "target": target, **more})


@pytest.fixture
def volumes(tmp_path: Path) -> Iterator[Volumes]:
    found = Volumes(tmp_path)
    found.start(())
    yield found
    found.close()


def there(root: Path) -> list[str]:
    return sorted(entry.name for entry in root.iterdir() if not entry.name.startswith(".trash-"))


def made(volumes: Volumes, *mounts: Mount, number: int = 1) -> ContainerSpec:
    """A container that has been made."""
    spec = spec_with(*mounts, number=number)
    volumes.reserve(spec)
    volumes.commit(spec)
    return spec


@pytest.mark.parametrize("name", ["", ".", "..", ".hidden", "a/b", "../x", "a\0b", "/abs"])
def test_a_name_that_would_leave_the_volumes_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(SeawayError) as refused:
        Volumes(tmp_path).path(name)
    assert refused.value.code is Code.BAD_REQUEST


def test_making_volumes_leaves_binds_alone(volumes: Volumes, tmp_path: Path) -> None:
    spec = spec_with(
        volume("one"), volume("one", "/again"), Mount(type="bind", source="/nowhere", target="/b"),
        Mount(type="tmpfs", target="/t"),
    )  # fmt: skip
    volumes.reserve(spec)
    assert volumes.new_for(spec) == ("one",)
    volumes.commit(spec)
    assert volumes.new_for(spec) == ()
    assert there(tmp_path) == ["one"]
    assert there(tmp_path / "one") == ["_data"]
    assert (tmp_path / "one/_data").stat().st_mode & 0o7777 == 0o755


def test_a_volume_that_is_there_is_kept(volumes: Volumes, tmp_path: Path) -> None:
    made(volumes, volume("one"))
    (tmp_path / "one/_data/file").write_text("x")
    again = spec_with(volume("one"), number=2)
    volumes.reserve(again)
    assert volumes.new_for(again) == ()
    volumes.rollback(again)
    assert (tmp_path / "one/_data/file").read_text() == "x"


def test_a_volume_whose_data_somebody_has_removed_gets_it_again(volumes: Volumes, tmp_path: Path) -> None:
    (tmp_path / "one").mkdir()
    made(volumes, volume("one"))
    assert there(tmp_path / "one") == ["_data"]


def test_one_that_can_not_be_made_takes_those_before_it_along(volumes: Volumes, tmp_path: Path) -> None:
    (tmp_path / "two").write_text("in the way")
    with pytest.raises(SeawayError, match="volume two can't be made: Not a directory"):
        volumes.reserve(spec_with(volume("one"), volume(ANONYMOUS, anonymous=True), volume("two"), volume("three")))
    assert there(tmp_path) == ["two"]


def test_what_another_container_has_taken_up_meanwhile_is_not_given_back(volumes: Volumes, tmp_path: Path) -> None:
    first, second = spec_with(volume("one"), volume("own")), spec_with(volume("one"), number=2)
    volumes.reserve(first)
    volumes.reserve(second)
    volumes.commit(second)
    volumes.release(second, anonymous=True)
    (tmp_path / "one/_data/written").touch()
    volumes.rollback(first)
    assert there(tmp_path) == ["one"]
    again = Volumes(tmp_path)
    again.start(())
    again.close()
    assert there(tmp_path) == ["one"]


def test_anonymous_volumes_go_named_ones_stay(volumes: Volumes, tmp_path: Path) -> None:
    anonymous = [volume(ANONYMOUS, target, anonymous=True) for target in ("/a", "/b")]
    spec = made(volumes, volume("named"), *anonymous)
    assert volumes.release(spec, anonymous=False) == ()
    assert there(tmp_path) == [ANONYMOUS, "named"]
    assert volumes.release(spec, anonymous=True) == (ANONYMOUS,)
    assert there(tmp_path) == ["named"]
    assert volumes.release(spec, anonymous=True) == (ANONYMOUS,), "an agent that was killed had removed it"
    volumes.close()
    assert list(tmp_path.iterdir()) == [tmp_path / "named"]


@pytest.mark.parametrize("restarted", [False, True])
def test_an_anonymous_one_stays_while_another_container_has_it(tmp_path: Path, restarted: bool) -> None:
    volumes = Volumes(tmp_path)
    mount = volume(ANONYMOUS, anonymous=True)
    specs = [made(volumes, mount, number=number) for number in (1, 2)]
    specs.append(made(volumes, volume(ANONYMOUS), number=3))
    if restarted:
        volumes.close()
        volumes = Volumes(tmp_path)
        volumes.start(specs)
    assert volumes.release(specs[0], anonymous=True) == ()
    assert volumes.release(specs[2], anonymous=True) == (), "by its name it is no longer anonymous"
    assert there(tmp_path) == [ANONYMOUS]
    assert volumes.release(specs[1], anonymous=True) == (ANONYMOUS,)
    assert there(tmp_path) == []
    volumes.close()


def test_after_a_kill_what_was_made_for_no_container_goes(tmp_path: Path) -> None:
    before = Volumes(tmp_path)
    dangling = made(before, volume(ANONYMOUS, anonymous=True), number=1)
    before.release(dangling, anonymous=False)
    begun, known = spec_with(volume("b" * 64, anonymous=True), volume("new")), spec_with(volume("kept"), number=2)
    before.reserve(begun)
    before.reserve(known)
    (tmp_path / ".new-0/_data").mkdir(parents=True)
    (tmp_path / ".trash-0/_data").mkdir(parents=True)
    (tmp_path / "lost+found").mkdir()
    after = Volumes(tmp_path)
    after.start([known])
    after.close()
    assert sorted(entry.name for entry in tmp_path.iterdir()) == [ANONYMOUS, "kept", "lost+found"]
    assert there(tmp_path / "kept") == ["_data"]


def test_volumes_ready_to_be_mounted(volumes: Volumes, tmp_path: Path) -> None:
    (tmp_path / "full/_data").mkdir(parents=True)
    mounts = (volume("full", "/2", read_only=True), volume("plain", "/3", no_copy=True))
    assert volumes.mounts(spec_with(*mounts)) == (
        VolumeMount(tmp_path / "full/_data", "/2", True),
        VolumeMount(tmp_path / "plain/_data", "/3", False),
    )


def test_places_for_a_view_of_the_files(volumes: Volumes, tmp_path: Path) -> None:
    spec = spec_with(volume("full", "/2", read_only=True), volume("v", "/3", subpath="a/b"))
    assert volumes.places(spec) == (
        Place("/2", tmp_path / "full/_data", read_only=True),
        Place("/3", tmp_path / "v/_data", subpath="a/b"),
    )


async def test_nothing_is_mounted_where_nothing_is_to_be_filled(volumes: Volumes, tmp_path: Path) -> None:
    (tmp_path / "full/_data/x").mkdir(parents=True)
    spec = spec_with(volume("full"), volume("plain", no_copy=True), volume("full", subpath="none"))
    volumes.reserve(spec)
    await volumes.fill(spec, Stack((), "", ""), tmp_path)


def test_a_piece_of_a_volume(volumes: Volumes) -> None:
    spec = spec_with(volume("v", subpath="a/b", read_only=True), volume("whole", "/w"))
    (found, _) = volumes.mounts(spec, rro=True)
    (hung,) = volumes.attachments(spec)
    assert (found.subpath, found.recursively, found.attachment) == ("a/b", True, hung.name)


def test_a_piece_that_is_not_there_is_named(volumes: Volumes) -> None:
    spec = made(volumes, volume("v", subpath="no/where"))
    (hung,) = volumes.attachments(spec)
    with pytest.raises(
        SeawayError, match=r"cannot access path .*/v/_data/no/where: .*no such file or directory"
    ) as refused:
        hung.clone()
    assert refused.value.code is Code.NOT_FOUND
