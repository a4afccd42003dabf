"""What unpacking leaves on the disk, and what an overlay of it shows."""

import gzip
import hashlib
import io
import os
import stat
import subprocess
import tarfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from seaway_agent.kernel.overlay import mount_overlay, umount
from seaway_agent.rootfs.errors import DigestMismatch
from seaway_agent.rootfs.limits import Limits
from seaway_agent.rootfs.unpack import Unpacked, unpack_layer
from seaway_contracts.images import Layer
from seaway_testing.descriptors import open_descriptors

pytestmark = pytest.mark.root


class LayerTar:
    """Builds a layer entry by entry."""

    def __init__(self) -> None:
        self._out = io.BytesIO()
        self._tar = tarfile.open(fileobj=self._out, mode="w", format=tarfile.PAX_FORMAT)  # noqa: SIM115

    def add(self, name: str, data: bytes = b"", kind: bytes = tarfile.REGTYPE, **fields: object) -> "LayerTar":
        info = tarfile.TarInfo(name)
        info.type, info.size = kind, len(data)
        for key, value in fields.items():
            setattr(info, key, value)
        self._tar.addfile(info, io.BytesIO(data))
        return self

    def directory(self, name: str, mode: int = 0o755, **fields: object) -> "LayerTar":
        return self.add(name, b"", tarfile.DIRTYPE, mode=mode, **fields)

    def link(self, name: str, target: str) -> "LayerTar":
        return self.add(name, kind=tarfile.SYMTYPE, linkname=target)

    def hardlink(self, name: str, target: str) -> "LayerTar":
        return self.add(name, kind=tarfile.LNKTYPE, linkname=target)

    def bytes(self) -> bytes:
        self._tar.close()
        return self._out.getvalue()

    def unpack(self, root: Path) -> Unpacked:
        root.mkdir()
        content = self.bytes()
        blob = gzip.compress(content, 1)
        return unpack_layer(io.BytesIO(blob).read, root, described(blob, content), Limits())


def described(blob: bytes, content: bytes) -> Layer:
    digests = [f"sha256:{hashlib.sha256(data).hexdigest()}" for data in (blob, content)]
    return Layer(digest=digests[0], size=len(blob), media_type="", diff_id=digests[1])


@contextmanager
def overlay(tmp_path: Path, *lowers: Path) -> Iterator[Path]:
    merged, empty = tmp_path / "merged", tmp_path / "empty"
    merged.mkdir()
    empty.mkdir()
    mount_overlay(str(merged), [*map(str, lowers), str(empty)], None, None)
    try:
        yield merged
    finally:
        umount(str(merged))


def test_files_are_as_the_archive_says(tmp_path: Path) -> None:
    capability = "\x01\0\0\x02\0\x04\0\0\0\0\0\0\0\0\0\0\0\0\0\0"
    headers = {"mtime": "1500000000.25", "SCHILY.xattr.user.a": "b", "SCHILY.xattr.security.capability": capability}
    root = tmp_path / "root"
    result = (
        LayerTar()
        .directory(".", mode=0o711, mtime=1_400_000_000)
        .directory("d", mode=0o2775, uid=3, gid=4, mtime=1_300_000_000)
        .add("d/setuid", b"data", mode=0o4755, uid=70_000, gid=80_000, pax_headers=headers)
        .link("d/link", "/etc/shadow")
        .hardlink("d/hard", "d/setuid")
        .add("d/fifo", kind=tarfile.FIFOTYPE, mode=0o622, uid=1)
        .unpack(root)
    )
    file = (root / "d/setuid").stat()
    assert (file.st_mode & 0o7777, file.st_uid, file.st_gid, file.st_size) == (0o4755, 70_000, 80_000, 4)
    assert file.st_mtime_ns == 1_500_000_000_250_000_000
    assert file.st_ino == (root / "d/hard").stat().st_ino
    assert os.getxattr(root / "d/setuid", "user.a") == b"b"
    assert os.getxattr(root / "d/setuid", "security.capability") == capability.encode()
    directory = (root / "d").stat()
    assert (directory.st_mode & 0o7777, directory.st_uid, directory.st_gid) == (0o2775, 3, 4)
    assert (directory.st_mtime, root.stat().st_mtime) == (1_300_000_000, 1_400_000_000)
    assert root.stat().st_mode & 0o7777 == 0o711
    assert (root / "d/link").readlink() == Path("/etc/shadow")
    fifo = (root / "d/fifo").lstat()
    assert stat.S_ISFIFO(fifo.st_mode) and fifo.st_mode & 0o7777 == 0o622 and fifo.st_uid == 1
    assert (result.entries, result.size, result.implied) == (6, 4 + len("/etc/shadow"), ())


def test_missing_parents_are_made_and_reported(tmp_path: Path) -> None:
    root = tmp_path / "root"
    result = LayerTar().add("a/b/c/file").directory("a/b", mode=0o700).unpack(root)
    assert result.implied == ((b"a",), (b"a", b"b", b"c"))
    assert [(root / p).stat().st_mode & 0o7777 for p in ("a", "a/b", "a/b/c")] == [0o755, 0o700, 0o755]


def test_sparse_files_keep_their_holes(tmp_path: Path) -> None:
    root = tmp_path / "root"
    data = b"x" * 4096
    headers = {"GNU.sparse.map": "8388608,4096", "GNU.sparse.size": "16777216", "GNU.sparse.name": "sparse"}
    LayerTar().add("placeholder", data, pax_headers=headers).unpack(root)
    status = (root / "sparse").stat()
    assert status.st_size == 16 << 20 and status.st_blocks * 512 < 1 << 20
    assert (root / "sparse").read_bytes()[8 << 20 : (8 << 20) + 4096] == data


@pytest.mark.parametrize(
    "options", [["gnu"], ["posix", "--sparse-version=0.0"], ["posix", "--sparse-version=0.1"], ["posix"]], ids=str
)
def test_every_sparse_format_of_gnu_tar(tmp_path: Path, options: list[str]) -> None:
    root, source = tmp_path / "root", tmp_path / "file"
    root.mkdir()
    with source.open("wb") as file:
        for i in range(60):
            file.seek(i * 100_000)
            file.write(os.urandom(5000))
        file.truncate(10_000_000)
    command = ["tar", "-C", str(tmp_path), "--sparse", f"--format={options[0]}", *options[1:], "-cf", "-", "file"]
    content = subprocess.run(command, check=True, capture_output=True).stdout
    assert len(content) < 1_000_000
    unpack_layer(io.BytesIO(content).read, root, described(content, content), Limits())
    assert (root / "file").read_bytes() == source.read_bytes()


def test_later_entries_win(tmp_path: Path) -> None:
    root = tmp_path / "root"
    (
        LayerTar()
        .add("file", b"first").add("file", b"second")
        .directory("d").add("d/inner").add("d", b"now a file")
        .add("f").directory("f").add("f/inner", b"x")
        .directory("kept").add("kept/inner", b"x").directory("kept", mode=0o700)
        .link("l", "file").add("l", b"no link any more")
        .unpack(root)
    )  # fmt: skip
    assert (root / "file").read_bytes() == b"second"
    assert (root / "d").read_bytes() == b"now a file"
    assert (root / "f/inner").read_bytes() == (root / "kept/inner").read_bytes() == b"x"
    assert (root / "kept").stat().st_mode & 0o7777 == 0o700
    assert not (root / "l").is_symlink() and (root / "l").read_bytes() == b"no link any more"


def test_links_within_the_layer_are_followed_for_parents(tmp_path: Path) -> None:
    root = tmp_path / "root"
    LayerTar().directory("usr/lib").link("lib", "usr/lib").add("lib/a", b"a").link("abs", "/usr/lib").add(
        "abs/b", b"b"
    ).link("usr/up", "../usr/lib").add("usr/up/c", b"c").unpack(root)
    assert sorted(os.listdir(root / "usr/lib")) == ["a", "b", "c"]
    assert (root / "lib").is_symlink()


def test_whiteouts_hide_what_is_below(tmp_path: Path) -> None:
    lower, upper = tmp_path / "lower", tmp_path / "upper"
    LayerTar().add("gone").add("stays").add("d/gone").add("d/stays").add("o/gone").add("r/gone").unpack(lower)
    (
        LayerTar()
        .add(".wh.gone").add("d/.wh.gone").add("o/.wh..wh..opq").add("o/new")
        .add("r/new").add(".wh.r")
        .add(".wh..wh.plnk")
        .unpack(upper)
    )  # fmt: skip
    with overlay(tmp_path, upper, lower) as merged:
        shown = sorted(str(p.relative_to(merged)) for p in merged.rglob("*"))
    assert shown == ["d", "d/stays", "o", "o/new", "r", "r/new", "stays"]


@pytest.mark.parametrize("entries", [["w/.wh.d", "w/d/new"], ["w/d/new", "w/.wh.d"]])
def test_a_whiteout_and_a_new_directory_in_one_layer_in_any_order(tmp_path: Path, entries: list[str]) -> None:
    lower, upper = tmp_path / "lower", tmp_path / "upper"
    LayerTar().add("w/d/old").unpack(lower)
    layer = LayerTar()
    for entry in entries:
        layer.add(entry)
    layer.unpack(upper)
    with overlay(tmp_path, upper, lower) as merged:
        assert os.listdir(merged / "w/d") == ["new"]


def test_a_whiteout_never_hides_a_file_of_its_own_layer(tmp_path: Path) -> None:
    root = tmp_path / "root"
    LayerTar().add("a", b"new").add(".wh.a").add(".wh.b").add("b", b"new").unpack(root)
    assert (root / "a").read_bytes() == (root / "b").read_bytes() == b"new"


def test_an_opaque_root_is_reported(tmp_path: Path) -> None:
    assert LayerTar().add(".wh..wh..opq").unpack(tmp_path / "root").opaque_root


def test_several_hundred_directories_pass_through_the_cache(tmp_path: Path) -> None:
    root = tmp_path / "root"
    before = open_descriptors()
    layer = LayerTar()
    for i in range(400):
        layer.directory(f"d{i}", mtime=1_000_000 + i)
    for i in range(400):
        layer.add(f"d{i}/file", str(i).encode())
    layer.unpack(root)
    assert all((root / f"d{i}/file").read_text() == str(i) for i in range(400))
    assert all((root / f"d{i}").stat().st_mtime == 1_000_000 + i for i in range(400))
    assert open_descriptors() == before


def test_a_wrong_diff_id_leaves_nothing(tmp_path: Path) -> None:
    content = LayerTar().directory("d").add("d/file", b"x" * 100_000).bytes()
    layer = described(content, b"other")
    with pytest.raises(DigestMismatch):
        unpack_layer(io.BytesIO(content).read, tmp_path, layer, Limits())
    assert os.listdir(tmp_path) == []
