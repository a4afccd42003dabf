"""The hostile corpus: layers that try to get out, to lie, or to exhaust the node. Nothing outside ever changes."""

import functools
import gzip
import hashlib
import io
import os
import resource
import stat
import struct
import tarfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from seaway_agent.kernel.syscalls import mount, umount2
from seaway_agent.rootfs.errors import LayerRejected, LayerTooLarge
from seaway_agent.rootfs.limits import KIB, MIB, Limits
from seaway_agent.rootfs.unpack import Unpacked, unpack_layer
from seaway_contracts.errors import Code, SeawayError
from seaway_contracts.images import Layer
from seaway_testing.packing import zstd_compress

pytestmark = pytest.mark.root

SECONDS = 10.0
Entry = tuple[tarfile.TarInfo, bytes]


def entry(name: str, kind: bytes = tarfile.REGTYPE, data: bytes = b"evil", **fields: object) -> Entry:
    info = tarfile.TarInfo(name)
    info.type = kind
    info.mode = 0o755
    for key, value in fields.items():
        setattr(info, key, value)
    return info, data if kind == tarfile.REGTYPE else b""


directory = functools.partial(entry, kind=tarfile.DIRTYPE)


def link(name: str, target: str) -> Entry:
    return entry(name, tarfile.SYMTYPE, linkname=target)


def hardlink(name: str, target: str) -> Entry:
    return entry(name, tarfile.LNKTYPE, linkname=target)


def layer_of(*entries: Entry, format: int = tarfile.PAX_FORMAT) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=format) as tar:
        for info, data in entries:
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))
    return out.getvalue()


def patched(data: bytes, offset: int, field: bytes) -> bytes:
    """`data` with `field` in its first header, the checksum right again."""
    header = bytearray(data[:512])
    header[offset : offset + len(field)] = field
    header[148:156] = b" " * 8
    header[148:156] = b"%06o\0 " % sum(header)
    return bytes(header) + data[512:]


def unpack(content: bytes, root: Path, blob: bytes | None = None, limits: Limits | None = None) -> Unpacked:
    blob = content if blob is None else blob
    digests = [f"sha256:{hashlib.sha256(data).hexdigest()}" for data in (blob, content)]
    layer = Layer(digest=digests[0], size=len(blob), media_type="", diff_id=digests[1])
    return unpack_layer(io.BytesIO(blob).read, root, layer, limits or Limits())


@pytest.fixture
def outside(tmp_path: Path) -> Iterator[Path]:
    """A directory beside the root with a file that must survive; checked at the end."""
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "victim").write_text("untouched")
    before = [(p.name, p.lstat()) for p in (outside, outside / "victim")]
    yield outside
    assert os.listdir(outside) == ["victim"]
    for name, status in before:
        now = (outside if name == "outside" else outside / name).lstat()
        assert (now.st_mode, now.st_uid, now.st_ino, now.st_mtime_ns, now.st_nlink) == (
            status.st_mode,
            status.st_uid,
            status.st_ino,
            status.st_mtime_ns,
            status.st_nlink,
        )
    assert (outside / "victim").read_text() == "untouched"
    assert sorted(os.listdir(tmp_path)) == ["outside", "root"]


@pytest.fixture
def root(tmp_path: Path) -> Path:
    root = tmp_path / "root"
    root.mkdir()
    return root


CONTAINED: dict[str, Callable[[str], list[Entry]]] = {
    "dotdot": lambda o: [entry("../outside/victim"), entry("a/../../outside/new")],
    "dotdot chain": lambda o: [entry("../" * 50 + o[1:] + "/victim")],
    "absolute": lambda o: [entry(f"{o}/victim"), directory(o, mode=0o777)],
    "absolute doubled": lambda o: [entry(f"/{o}/victim")],
    "link as parent": lambda o: [link("l", o), entry("l/victim"), directory("l/new")],
    "relative link as parent": lambda o: [link("l", "../outside"), entry("l/victim")],
    "deep relative link": lambda o: [directory("d"), link("d/l", "../" * 40 + o[1:]), entry("d/l/victim")],
    "chain of links": lambda o: [link("a", "b"), link("b", "c"), link("c", o), entry("a/victim"), entry("a/new")],
    "chain by dotdot": lambda o: [
        directory("d"),
        link("d/up", ".."),
        link("d/e", "up/up/outside"),
        entry("d/e/victim"),
    ],
    "link to dotdot": lambda o: [link("p", ".."), entry("p/outside/victim")],
    "link into proc": lambda o: [link("p", "/proc/self/cwd"), entry("p/x"), link("q", "/proc/1/root"), entry("q/y")],
    "file over link": lambda o: [link("f", f"{o}/victim"), entry("f")],
    "directory over link": lambda o: [link("d", o), directory("d", mode=0o777, uid=1), entry("d/new")],
    "fifo over link": lambda o: [link("f", f"{o}/victim"), entry("f", tarfile.FIFOTYPE)],
    "link over link": lambda o: [link("f", f"{o}/victim"), link("f", o), entry("f", mode=0o666)],
    "directory becomes link": lambda o: [directory("d"), entry("d/x"), link("d", o), entry("d/victim")],
    "parent becomes link": lambda o: [
        directory("a/b"),
        entry("a/b/x"),
        link("a", o),
        entry("a/b/x"),
        entry("a/victim"),
    ],
    "link becomes directory": lambda o: [link("d", o), entry("d/victim"), directory("d"), entry("d/victim")],
    "whiteout through link": lambda o: [link("l", o), entry("l/.wh.victim"), entry("l/.wh..wh..opq")],
    "whiteout of dotdot path": lambda o: [entry("../outside/.wh.victim")],
    "hard link to own link": lambda o: [link("l", f"{o}/victim"), hardlink("h", "l"), entry("h")],
    "metadata over link": lambda o: [link("d", o), directory("d/", mode=0o4777, uid=9, mtime=5)],
    "late mtime": lambda o: [directory("d", mtime=7), link("d", o)],
    "backslashes": lambda o: [entry("..\\outside\\victim")],
}


@pytest.mark.parametrize("name", CONTAINED)
@pytest.mark.parametrize("format", [tarfile.PAX_FORMAT, tarfile.GNU_FORMAT])
def test_contained(name: str, format: int, root: Path, outside: Path) -> None:
    unpack(layer_of(*CONTAINED[name](str(outside)), format=format), root)


REJECTED: dict[str, tuple[Callable[[str], bytes], str]] = {
    "root is a link": (lambda o: layer_of(link(".", o), entry("victim")), "as its root"),
    "root is a file": (lambda o: layer_of(entry("/")), "as its root"),
    "root is a hard link": (lambda o: layer_of(entry("a"), hardlink("./", "a")), "as its root"),
    "hard link outside": (lambda o: layer_of(hardlink("h", "../outside/victim")), "outside of its root"),
    "hard link to absolute": (lambda o: layer_of(hardlink("h", f"{o}/victim"), entry("h")), "no file of this layer"),
    "hard link through link": (lambda o: layer_of(link("l", o), hardlink("h", "l/victim")), "no file of this layer"),
    "hard link through inner link": (
        lambda o: layer_of(entry("d/f"), link("l", "d"), hardlink("h", "l/f")),
        "no file of this layer",
    ),
    "hard link to directory": (lambda o: layer_of(directory("d"), hardlink("h", "d")), "no file of this layer"),
    "hard link to root": (lambda o: layer_of(hardlink("h", ".")), "no file of this layer"),
    "hard link over its parent": (lambda o: layer_of(entry("a/b"), hardlink("a", "a/b")), "hard link to itself"),
    "whiteout of dot": (lambda o: layer_of(entry(".wh..")), "names no file"),
    "whiteout of dotdot": (lambda o: layer_of(entry(".wh...")), "names no file"),
    "whiteout of nothing": (lambda o: layer_of(directory("d"), entry("d/.wh.")), "names no file"),
    "file below a whiteout": (lambda o: layer_of(entry(".wh.d/x")), "below a whiteout"),
    "overlay whiteout": (lambda o: layer_of(entry("w", tarfile.CHRTYPE, devmajor=0, devminor=0)), "overlay whiteout"),
    "file as parent": (lambda o: layer_of(entry("f"), entry("f/x")), "no directory"),
    "link loop": (lambda o: layer_of(link("a", "b"), link("b", "a"), entry("a/x")), "40 symbolic links"),
    "empty link": (lambda o: layer_of(link("l", "")), "no usable target"),
    "long link": (lambda o: layer_of(link("l", "x" * 5000)), "no usable target"),
    "negative size": (lambda o: patched(layer_of(entry("f")), 124, b"\xff" * 12), "negative size"),
    "bad checksum": (lambda o: layer_of(entry("f")).replace(b"0000755", b"0000777", 1), "checksum"),
    "truncated": (lambda o: layer_of(entry("f", data=b"x" * 5000))[:3000], "truncated"),
    "NUL in a name": (lambda o: layer_of(entry("f", pax_headers={"path": "a\0b"})), "NUL"),
    "long component": (lambda o: layer_of(entry("n" * 300)), "255 bytes"),
    "large uid": (lambda o: layer_of(entry("f", uid=2**32)), "beyond 32 bits"),
    "uid -1": (lambda o: layer_of(entry("f", gid=2**32 - 1)), "beyond 32 bits"),
    "impossible capability": (
        lambda o: layer_of(entry("f", pax_headers={"SCHILY.xattr.security.capability": "junk"})),
        "can't be set",
    ),
    "not a tar": (lambda o: b"GIF89a" + bytes(2000), "checksum"),
}


@pytest.mark.parametrize("name", REJECTED)
def test_rejected_and_nothing_left(name: str, root: Path, outside: Path) -> None:
    build, words = REJECTED[name]
    first = layer_of(entry("before/it"))[:1024]
    with pytest.raises(LayerRejected, match=words):
        unpack(build(str(outside)), root)
    assert os.listdir(root) == []
    if name != "not a tar":
        with pytest.raises(LayerRejected):
            unpack(first + build(str(outside)), root)
        assert os.listdir(root) == []


def test_dropped(root: Path, outside: Path) -> None:
    xattrs = {
        f"SCHILY.xattr.{name}": "y"
        for name in (
            "trusted.overlay.opaque",
            "trusted.overlay.redirect",
            "user.overlay.opaque",
            "security.ima",
            "user.a",
        )
    }
    result = unpack(
        layer_of(
            directory("d", pax_headers=xattrs),
            entry("null", tarfile.CHRTYPE, devmajor=1, devminor=3),
            entry("disk", tarfile.BLKTYPE, devmajor=8, devminor=0),
        ),
        root,
    )
    assert os.listxattr(root / "d") == ["user.a"]
    assert os.listdir(root) == ["d"]
    assert result.dropped == 2


def test_fifos_never_block(root: Path, outside: Path) -> None:
    fifo = entry("f", tarfile.FIFOTYPE)
    unpack(layer_of(fifo, entry("f"), fifo, hardlink("g", "f"), entry("g"), fifo), root)
    assert stat.S_ISFIFO((root / "f").lstat().st_mode)
    assert (root / "g").read_bytes() == b"evil"


def size_lie() -> bytes:
    return patched(layer_of(entry("f")), 124, b"\x80" + (1 << 40).to_bytes(11, "big"))


def vast_sparse() -> bytes:
    return layer_of(entry("f", pax_headers={"GNU.sparse.map": "0,4", "GNU.sparse.size": str(2**63)}))


def nested() -> bytes:
    return layer_of(*(directory("d/" * depth) for depth in range(1, 3000, 50)))


def pax_bomb() -> bytes:
    return layer_of(entry("f", pax_headers={f"key{i}": "v" * 1000 for i in range(2000)}))


def long_name() -> bytes:
    return layer_of(entry("n/" * 35_000), format=tarfile.GNU_FORMAT)


def many_links() -> bytes:
    """Each entry makes the next one walk thousands of directories anew."""
    steps = "/".join(["a", ".."] * 800)
    links = [directory("a"), *(link(f"l{i}", f"{steps}/l{i + 1}") for i in range(38)), link("l38", "a")]
    return layer_of(*links, *(e for i in range(80) for e in (link("x", "y"), entry(f"l0/f{i}"))))


LIMITED = {
    "1 TiB size lie": (size_lie, Limits()),
    "8 EiB sparse": (vast_sparse, Limits()),
    "3,000 nested directories": (nested, Limits()),
    "pax bomb": (pax_bomb, Limits()),
    "70 kB name": (long_name, Limits()),
    "link walks": (many_links, Limits()),
}


@pytest.mark.parametrize("name", LIMITED)
def test_limited(name: str, root: Path, outside: Path) -> None:
    build, limits = LIMITED[name]
    content = build()
    started = time.monotonic()
    with pytest.raises(LayerTooLarge):
        unpack(content, root, limits=limits)
    assert time.monotonic() - started < SECONDS
    assert os.listdir(root) == []


@pytest.fixture
def in_memory(root: Path) -> Iterator[None]:
    """The root on a tmpfs, so that the disk's speed doesn't matter."""
    mount("tmpfs", str(root), "tmpfs", 0, "size=64m")
    yield
    umount2(str(root))


@pytest.mark.usefixtures("in_memory")
def test_two_hundred_thousand_entries(root: Path, outside: Path) -> None:
    """Built by hand, as tarfile takes seconds."""
    header = layer_of(entry("same", data=b""))[:512]
    content = header * 200_000 + bytes(1024)
    blob = gzip.compress(content, 1)
    started = time.monotonic()
    with pytest.raises(LayerTooLarge, match="files out of"):
        unpack(content, root, blob)
    assert time.monotonic() - started < SECONDS
    assert os.listdir(root) == []


@pytest.mark.parametrize("pack", [gzip.compress, zstd_compress])
@pytest.mark.parametrize("inside", ["a file", "padding", "headers"])
def test_compression_bomb(inside: str, pack: Callable[[bytes], bytes], root: Path, outside: Path) -> None:
    """2 GB of zeros in as many streams as there are megabytes, which is legal."""
    head = {
        "a file": patched(layer_of(entry("f", data=b""))[:512], 124, b"%011o\0" % (4 << 30)),
        "padding": bytes(1024),
        "headers": b"",
    }[inside]
    body = pack(bytes(MIB)) * 2000
    if inside == "headers":
        record = layer_of(entry("g", tarfile.XGLTYPE, data=b""))[:512]
        body = pack(record * 2000) * 200
    blob = pack(head) + body
    limits = Limits(ratio_from=64 * MIB)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    started = time.monotonic()
    with pytest.raises(SeawayError) as caught:
        unpack(b"", root, blob, limits)
    assert caught.value.code is Code.TOO_LARGE
    assert time.monotonic() - started < SECONDS
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 64 * KIB  # in KiB
    assert os.listdir(root) == []


def test_a_root_that_is_a_link_is_not_entered(root: Path, outside: Path) -> None:
    root.rmdir()
    root.symlink_to(outside)
    with pytest.raises(OSError, match=r"link|directory"):
        unpack(layer_of(entry("victim")), root)


def test_acls_and_odd_xattrs_do_not_crash(root: Path, outside: Path) -> None:
    acl = struct.pack("<I", 2).decode("latin-1")
    names = {"SCHILY.xattr.system.posix_acl_access": acl, "SCHILY.xattr.nonsense": "x", "SCHILY.xattr.": "x"}
    unpack(
        layer_of(entry("f", pax_headers=names), entry("p", tarfile.FIFOTYPE, pax_headers={"SCHILY.xattr.user.a": "b"})),
        root,
    )
    assert os.listxattr(root / "f") == []
