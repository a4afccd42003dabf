"""Volumes as mounts of a container."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from seaway_agent.archive.view import Place, Stack
from seaway_agent.volumes.binds import flags_of
from seaway_agent.volumes.filler import VolumeFiller
from seaway_agent.volumes.mounts import VolumeMount, VolumeMounts
from seaway_agent.volumes.volumes import Volumes
from seaway_contracts.containers import ContainerSpec, Mount
from seaway_contracts.errors import Code, SeawayError
from seaway_contracts.volumes import VolumeRecord
from seaway_testing import builders


def spec_with(*mounts: Mount) -> ContainerSpec:
    return builders.spec(1, mounts=mounts)


def volume(name: str, target: str = "/v", **more: object) -> Mount:
    return Mount.model_validate({"type": "volume", "source": name, "target": target, **more})


@pytest.fixture
def volumes(tmp_path: Path) -> Iterator[Volumes]:
    found = Volumes(tmp_path, "n1", lambda _: False)
    found.start(())
    yield found
    found.close()


def test_volumes_ready_to_be_mounted(volumes: Volumes, tmp_path: Path) -> None:
    (tmp_path / "full/_data").mkdir(parents=True)
    mounts = (volume("full", "/2", read_only=True), volume("plain", "/3", no_copy=True))
    assert VolumeMounts(volumes).of(spec_with(*mounts)) == (
        VolumeMount(tmp_path / "full/_data", "/2", True, options=flags_of(tmp_path)),
        VolumeMount(tmp_path / "plain/_data", "/3", False, options=flags_of(tmp_path)),
    )


def test_places_for_a_view_of_the_files(volumes: Volumes, tmp_path: Path) -> None:
    spec = spec_with(volume("full", "/2", read_only=True), volume("v", "/3", subpath="a/b"))
    assert VolumeMounts(volumes).places(spec) == (
        Place("/2", tmp_path / "full/_data", read_only=True),
        Place("/3", tmp_path / "v/_data", subpath="a/b"),
    )


async def test_nothing_is_mounted_where_nothing_is_to_be_filled(volumes: Volumes, tmp_path: Path) -> None:
    (tmp_path / "full/_data/x").mkdir(parents=True)
    spec = spec_with(volume("full"), volume("plain", no_copy=True), volume("full", subpath="none"))
    volumes.reserve(
        spec, [VolumeRecord(id="1", name="full", created_ns=1), VolumeRecord(id="2", name="plain", created_ns=1)]
    )
    filler = VolumeFiller(volumes, tmp_path)
    await filler.fill(spec, Stack((), "", ""))
    filler.close()


def test_a_piece_of_a_volume(volumes: Volumes) -> None:
    spec = spec_with(volume("v", subpath="a/b", read_only=True), volume("whole", "/w"))
    (found, _) = VolumeMounts(volumes).of(spec, rro=True)
    (hung,) = VolumeMounts(volumes).attachments(spec)
    assert (found.subpath, found.recursively, found.attachment) == ("a/b", True, hung.name)


def test_a_piece_that_is_not_there_is_named(volumes: Volumes) -> None:
    spec = spec_with(volume("v", subpath="no/where"))
    volumes.reserve(spec, [VolumeRecord(id="1", name="v", created_ns=1)])
    (hung,) = VolumeMounts(volumes).attachments(spec)
    with pytest.raises(
        SeawayError, match=r"cannot access path .*/v/_data/no/where: .*no such file or directory"
    ) as refused:
        hung.clone()
    assert refused.value.code is Code.NOT_FOUND
