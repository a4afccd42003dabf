"""Binds, on a real directory."""

import os
from pathlib import Path

import pytest

from seaway_agent.volumes.binds import attachments, bind_mounts, check_binds, check_propagation, flags_of
from seaway_contracts.containers import ContainerSpec, Mount
from seaway_contracts.errors import Code, Reason, SeawayError
from seaway_testing import builders


def spec_with(*mounts: Mount) -> ContainerSpec:
    return builders.spec(1, mounts=mounts)


def bind(source: Path | str, **more: object) -> Mount:
    return Mount.model_validate({"type": "bind", "source": str(source), "target": "/b", **more})


def test_a_bind_by_v_makes_its_source(tmp_path: Path) -> None:
    check_binds(spec_with(bind(tmp_path / "deep/er", create_source=True)))
    assert (tmp_path / "deep/er").is_dir()


def test_a_bind_by_mount_needs_its_source(tmp_path: Path) -> None:
    with pytest.raises(SeawayError, match=r"bind source path does not exist: .*missing") as refused:
        check_binds(spec_with(bind(tmp_path / "missing")))
    assert refused.value.code is Code.BAD_REQUEST
    assert not (tmp_path / "missing").exists()


def test_a_bind_whose_source_can_not_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(SeawayError, match="error while creating mount source path"):
        check_binds(spec_with(bind(tmp_path / "file/below", create_source=True)))
    with pytest.raises(SeawayError, match="No such file or directory") as refused:
        check_binds(spec_with(bind("/proc/none", create_source=True)))
    assert refused.value.reason is Reason.NO_SUCH_FILE


def test_binds_in_the_runtimes_words(tmp_path: Path) -> None:
    spec = spec_with(
        bind("/w"),
        bind("/x", target="/x", read_only=True, propagation="rslave", options=("noexec", "rbind")),
        bind("/y", target="/y", propagation="", recursive=False, read_only=True),
        bind("/z", target="/z", read_only=True, recursive_read_only="never"),
        Mount(type="volume", source="v", target="/v"),
    )
    found = bind_mounts(spec, tmp_path, rro=True)
    assert [(mount.target, mount.options) for mount in found] == [
        ("/b", ("rbind", "rprivate")),
        ("/x", ("rbind", "rslave", "noexec", "rro")),
        ("/y", ("bind", "rprivate", "ro")),
        ("/z", ("rbind", "rprivate", "ro")),
    ]
    hung = [one.name for one in attachments(spec)]
    assert [mount.source for mount in found] == [str(tmp_path / name) for name in hung]
    assert len(set(hung)) == 4
    assert bind_mounts(spec, tmp_path, rro=False)[1].options[-1] == "ro"


def test_the_flags_of_the_hosts_mount_stay(monkeypatch: pytest.MonkeyPatch) -> None:
    assert flags_of("/no/where") == ()
    place = os.statvfs("/")
    shown = os.statvfs_result((*place[:8], os.ST_RDONLY | os.ST_NODEV | os.ST_RELATIME, place[9]))
    monkeypatch.setattr(os, "statvfs", lambda _: shown)
    assert flags_of("/a") == ("ro", "nodev")
    assert bind_mounts(spec_with(bind("/a")), Path("/"), rro=True)[0].options == ("rbind", "rprivate", "ro", "nodev")


def test_what_must_be_read_only_all_the_way_down(tmp_path: Path) -> None:
    spec = spec_with(bind("/x", read_only=True, recursive_read_only="always"))
    assert bind_mounts(spec, tmp_path, rro=True)[0].options[-1] == "rro"
    with pytest.raises(SeawayError, match="recursive read-only needs a runtime that knows it"):
        bind_mounts(spec, tmp_path, rro=False)


def test_a_host_that_shares_nothing_can_pass_nothing_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    table = "1 0 8:1 / / rw - ext4 /dev/a rw\n2 1 8:2 / /shared rw shared:5 - ext4 /dev/b rw\n"
    table += "3 1 8:3 / /slave rw master:5 - ext4 /dev/c rw\n4 2 8:4 / /shared/not rw - ext4 /dev/d rw\n"
    monkeypatch.setattr(Path, "read_text", lambda _: table)
    for source, propagation, text in (
        ("/x", "rshared", "path /x is mounted on / but it is not a shared mount"),
        ("/x", "slave", "path /x is mounted on / but it is not a shared or slave mount"),
        ("/slave/x", "shared", "path /slave/x is mounted on /slave but it is not a shared mount"),
        ("/shared/not/x", "shared", "path /shared/not/x is mounted on /shared/not but it is not a shared mount"),
    ):
        with pytest.raises(SeawayError) as refused:
            check_propagation(spec_with(bind(source, propagation=propagation)))
        assert refused.value.message == text
    for source, propagation in (("/shared/x", "rshared"), ("/slave/x", "rslave"), ("/x", "rprivate"), ("/x", "")):
        check_propagation(spec_with(bind(source, propagation=propagation)))
