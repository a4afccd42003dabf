import pytest

from seaway_docker.errors import InvalidParameter
from seaway_docker.model_host import TmpfsOptions
from seaway_docker.tmpfs import merge_options, tmpfs_mount_options, tmpfs_options


def test_defaults_and_overrides() -> None:
    assert tmpfs_options("") == ["noexec", "nosuid", "nodev"]
    assert tmpfs_options("rw,exec,size=64m,mode=1777") == ["nosuid", "nodev", "rw", "exec", "size=64m", "mode=1777"]
    assert merge_options(["size=1m", "ro", "size=2m", "rw"]) == ["size=2m", "rw"]


def test_mount_entries() -> None:
    options = TmpfsOptions(size_bytes=1024, mode=0o1770, options=[["exec"], ["uid", "5"]])
    assert tmpfs_mount_options(options, read_only=True) == [
        "nosuid",
        "nodev",
        "ro",
        "mode=1770",
        "size=1024",
        "exec",
        "uid=5",
    ]


@pytest.mark.parametrize("option", ["bogus", "size", "", "x=1", "lowerdir=/"])
def test_unknown_options(option: str) -> None:
    with pytest.raises(InvalidParameter) as caught:
        merge_options([option])
    assert str(caught.value) == f'invalid tmpfs option "{option}"'
