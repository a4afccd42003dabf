import io
import tarfile

from hypothesis import given
from hypothesis import strategies as st

from seaway_archive.assembly import TarLimits
from seaway_archive.entries import Kind, TarEntry
from seaway_archive.reader import TarReader
from seaway_archive.writer import END, encode

NAMES = st.binary(min_size=1, max_size=300).filter(lambda name: b"\0" not in name and not name.endswith(b"/"))


def reread(data: bytes) -> tarfile.TarInfo:
    with tarfile.open(fileobj=io.BytesIO(data + END)) as archive:
        return archive.getmembers()[0]


def test_a_plain_entry_needs_one_block() -> None:
    data = encode(TarEntry(b"d/f", Kind.FILE, 0o100751, 1, 2, 0, 1_700_000_000_999_999_999))
    assert len(data) == 512
    found = reread(data)
    assert (found.name, found.mode, found.uid, found.gid, found.mtime) == ("d/f", 0o751, 1, 2, 1_700_000_000)


def test_what_ustar_cannot_hold_goes_to_pax() -> None:
    entry = TarEntry(
        name=b"d/" * 100 + "ü".encode(),
        kind=Kind.SYMLINK,
        uid=2**31,
        gid=2**30,
        link=b"x" * 200,
        xattrs={"user.a": b"\0\1\n", "security.capability": b"cap"},
    )
    found = next(iter(TarReader(io.BytesIO(encode(entry) + END).read, TarLimits())))
    assert (found.name, found.link, found.uid, found.gid) == (entry.name, entry.link, entry.uid, entry.gid)
    assert found.xattrs == entry.xattrs


def test_large_files() -> None:
    data = encode(TarEntry(b"f", Kind.FILE, size=1 << 33))
    assert next(iter(TarReader(io.BytesIO(data).read, TarLimits()))).size == 1 << 33


def test_devices() -> None:
    found = reread(encode(TarEntry(b"null", Kind.CHARACTER, 0o666, device=(1, 3))))
    assert found.ischr() and (found.devmajor, found.devminor) == (1, 3)


@given(name=NAMES, link=NAMES, uid=st.integers(0, 2**32 - 2), mtime=st.integers(0, 2**34))
def test_everything_comes_back(name: bytes, link: bytes, uid: int, mtime: int) -> None:
    entry = TarEntry(name, Kind.HARDLINK, 0o4755, uid, 7, 0, mtime * 10**9, link)
    found = next(iter(TarReader(io.BytesIO(encode(entry) + END).read, TarLimits())))
    assert (found.name, found.link, found.uid, found.mtime_ns) == (name, link, uid, mtime * 10**9)
    assert found.mode == 0o4755
