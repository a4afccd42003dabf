"""The tar readers against archives written by Python's tarfile, and against hand-made broken ones."""

import asyncio
import io
import tarfile
from collections.abc import AsyncIterator, Callable, Iterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from seaway_archive.assembly import TarLimits
from seaway_archive.entries import Kind, TarEntry
from seaway_archive.errors import ArchiveRejected, ArchiveTooLarge, ArchiveTruncated
from seaway_archive.reader import AsyncTarReader, Piece, TarReader

LIMITS = TarLimits(total=1 << 30, entries=1000, metadata=64 * 1024)


def archive(*members: tuple[tarfile.TarInfo, bytes], format: int = tarfile.PAX_FORMAT) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=format) as tar:
        for info, data in members:
            info.size = len(data) if info.isreg() else 0
            tar.addfile(info, io.BytesIO(data))
    return out.getvalue()


def member(
    name: str, data: bytes = b"", kind: bytes = tarfile.REGTYPE, **fields: object
) -> tuple[tarfile.TarInfo, bytes]:
    info = tarfile.TarInfo(name)
    info.type = kind
    for key, value in fields.items():
        setattr(info, key, value)
    return info, data


def read(data: bytes, limits: TarLimits = LIMITS, step: int = 1 << 20) -> list[tuple[TarEntry, bytes]]:
    source = io.BytesIO(data)
    reader = TarReader(lambda n: source.read(min(n, step)), limits)
    return [(entry, content(entry, list(reader.pieces()))) for entry in reader]


async def read_async(data: bytes, limits: TarLimits = LIMITS, step: int = 1 << 20) -> list[tuple[TarEntry, bytes]]:
    async def source() -> AsyncIterator[bytes]:
        for start in range(0, len(data), step):
            yield data[start : start + step]
            yield b""

    reader = AsyncTarReader(source(), limits)
    return [(entry, content(entry, [piece async for piece in reader.pieces()])) async for entry in reader.entries()]


def content(entry: TarEntry, pieces: list[Piece]) -> bytes:
    file = bytearray(entry.size)
    for offset, piece in pieces:
        file[offset : offset + len(piece)] = piece
    return bytes(file)


def raw_header(name: bytes = b"file", size: bytes = b"00000000000\0", type: bytes = b"0", **fields: bytes) -> bytes:
    """A ustar header, field by field, with a right checksum."""
    block = bytearray(512)
    values = {
        "name": (0, name),
        "mode": (100, b"0000644\0"),
        "uid": (108, fields.get("uid", b"0000000\0")),
        "gid": (116, b"0000000\0"),
        "size": (124, size),
        "mtime": (136, fields.get("mtime", b"00000000000\0")),
        "type": (156, type),
        "magic": (257, fields.get("magic", b"ustar\x0000")),
        "tail": (386, fields.get("tail", b"")),
    }
    for offset, value in values.values():
        block[offset : offset + len(value)] = value
    block[148:156] = b" " * 8
    block[148:156] = b"%06o\0 " % sum(block)
    return bytes(block)


def padded(data: bytes) -> bytes:
    return data + bytes(-len(data) % 512)


END = bytes(1024)


@pytest.mark.parametrize("format", [tarfile.PAX_FORMAT, tarfile.GNU_FORMAT, tarfile.USTAR_FORMAT])
def test_reads_every_kind_of_entry(format: int) -> None:
    data = archive(
        member("dir", kind=tarfile.DIRTYPE, mode=0o1777, uid=5, gid=6, mtime=1_600_000_000),
        member("dir/file", b"hello" * 200, mode=0o4755),
        member("link", kind=tarfile.SYMTYPE, linkname="/somewhere/else"),
        member("hard", kind=tarfile.LNKTYPE, linkname="dir/file"),
        member("fifo", kind=tarfile.FIFOTYPE),
        member("null", kind=tarfile.CHRTYPE, devmajor=1, devminor=3),
        member("disk", kind=tarfile.BLKTYPE, devmajor=8, devminor=0),
        format=format,
    )
    entries = read(data, step=100)
    assert asyncio.run(read_async(data, step=100)) == entries
    kinds = [Kind.DIRECTORY, Kind.FILE, Kind.SYMLINK, Kind.HARDLINK, Kind.FIFO, Kind.CHARACTER, Kind.BLOCK]
    assert [e.kind for e, _ in entries] == kinds
    directory, file, link, hard, _, null, _ = (e for e, _ in entries)
    assert (directory.mode, directory.uid, directory.gid) == (0o1777, 5, 6)
    assert directory.mtime_ns == 1_600_000_000 * 10**9
    assert (file.mode, entries[1][1]) == (0o4755, b"hello" * 200)
    assert (link.link, hard.link, null.device) == (b"/somewhere/else", b"dir/file", (1, 3))


@pytest.mark.parametrize("format", [tarfile.PAX_FORMAT, tarfile.GNU_FORMAT])
def test_long_names_and_large_owners(format: int) -> None:
    name, target = "d/" * 90 + "n" * 200, "t" * 300
    data = archive(member(name, kind=tarfile.SYMTYPE, linkname=target, uid=2**31, gid=2**32 - 2), format=format)
    ((entry, _),) = read(data)
    assert (entry.name, entry.link) == (name.encode(), target.encode())
    assert (entry.uid, entry.gid) == (2**31, 2**32 - 2)


def test_pax_time_and_xattrs() -> None:
    headers = {"mtime": "1600000000.123456789", "SCHILY.xattr.user.colour": "blue", "SCHILY.xattr.user.empty": ""}
    ((entry, _),) = read(archive(member("f", pax_headers=headers)))
    assert entry.mtime_ns == 1_600_000_000_123_456_789
    assert entry.xattrs == {"user.colour": b"blue", "user.empty": b""}


def test_ustar_prefix_joins_the_name() -> None:
    name = "p" * 100 + "/" + "n" * 90
    ((entry, _),) = read(archive(member(name), format=tarfile.USTAR_FORMAT))
    assert entry.name == name.encode()


def test_global_headers_are_skipped() -> None:
    record = b"13 path=evil\n"
    data = raw_header(b"g", b"%011o\0" % len(record), b"g") + padded(record) + raw_header(b"good") + END
    assert [e.name for e, _ in read(data)] == [b"good"]


def test_old_directories_are_files_with_a_slash() -> None:
    ((entry, _),) = read(raw_header(b"old/", type=b"\0", magic=b"") + END)
    assert entry.kind is Kind.DIRECTORY


def test_unread_data_is_skipped() -> None:
    source = io.BytesIO(archive(member("a", b"x" * 1000), member("b", b"y")))
    assert [e.name for e in TarReader(source.read, LIMITS)] == [b"a", b"b"]


def test_gnu_sparse_file() -> None:
    pairs = b"%011o\0%011o\0" % (4096, 3) + b"%011o\0%011o\0" % (10_000, 2)
    tail = pairs.ljust(96, b"\0") + b"\0" + b"%011o\0" % 20_000
    data = raw_header(b"s", b"%011o\0" % 5, b"S", magic=b"ustar  \0", tail=tail) + padded(b"abcde") + END
    ((entry, file),) = read(data, step=2)
    assert entry.size == 20_000
    assert (file[4096:4099], file[10_000:10_002]) == (b"abc", b"de")
    assert sum(map(bool, file)) == 5


def pax_entry(records: dict[str, str], body: bytes) -> bytes:
    text = b""
    for key, value in records.items():
        tail = f" {key}={value}\n".encode()
        length = len(tail) + 1
        while len(str(length)) + len(tail) != length:
            length += 1
        text += str(length).encode() + tail
    header = raw_header(b"x", b"%011o\0" % len(text), b"x") + padded(text)
    return header + raw_header(b"GNUSparseFile.0/s", b"%011o\0" % len(body)) + padded(body) + END


def test_pax_sparse_0_1() -> None:
    records = {"GNU.sparse.map": "100,3,200,2", "GNU.sparse.size": "1000", "GNU.sparse.name": "real"}
    ((entry, file),) = read(pax_entry(records, b"abcde"))
    assert (entry.name, file[100:103], file[200:202], len(file)) == (b"real", b"abc", b"de", 1000)


def test_pax_sparse_1_0() -> None:
    records = {
        "GNU.sparse.major": "1",
        "GNU.sparse.minor": "0",
        "GNU.sparse.name": "real",
        "GNU.sparse.realsize": "1000",
    }
    ((entry, file),) = read(pax_entry(records, padded(b"2\n100\n3\n200\n2\n") + b"abcde"), step=100)
    assert (entry.name, file[100:103], file[200:202], len(file)) == (b"real", b"abc", b"de", 1000)


@pytest.mark.parametrize(
    "records",
    [
        {"GNU.sparse.map": "200,2,100,3", "GNU.sparse.size": "1000"},
        {"GNU.sparse.map": "999,5", "GNU.sparse.size": "1000"},
        {"GNU.sparse.map": "0,4", "GNU.sparse.size": "1000"},
        {"GNU.sparse.map": "0", "GNU.sparse.size": "1000"},
        {"GNU.sparse.map": "0,5"},
        {"GNU.sparse.major": "1", "GNU.sparse.realsize": "9"},
    ],
)
def test_wrong_sparse_maps_are_rejected(records: dict[str, str]) -> None:
    with pytest.raises(ArchiveRejected):
        read(pax_entry(records, b"abcde"))


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (raw_header(size=b"\xff" * 12) + END, "negative size"),
        (raw_header(size=b"-0000000001\0") + END, "no number"),
        (raw_header(size=b"0000000009z\0") + END, "no number"),
        (raw_header()[:148] + b"0000000\0" + raw_header()[156:] + END, "checksum"),
        (raw_header(uid=b"\x80\0\0\x01\0\0\0\0") + END, "beyond 32 bits"),
        (raw_header(uid=b"\x80\0\0\0\xff\xff\xff\xff") + END, "beyond 32 bits"),
        (raw_header(type=b"Q") + END, "unknown type"),
        (raw_header(size=b"%011o\0" % 600) + bytes(512), "truncated"),
        (raw_header()[:300], "truncated"),
        (raw_header(size=b"%011o\0" % 20, type=b"L") + padded(b"a\0b".ljust(20, b"\0")) + raw_header() + END, "NUL"),
        (raw_header(size=b"%011o\0" % 20, type=b"L") + padded(b"name") + END, "extension header"),
        (raw_header(size=b"%011o\0" % 12, type=b"x") + padded(b"12 path=a\0b\n") + raw_header() + END, "NUL"),
        (raw_header(size=b"%011o\0" % 9, type=b"x") + padded(b"9 size=-1\n") + raw_header() + END, "wrong length"),
        (raw_header(size=b"%011o\0" % 11, type=b"x") + padded(b"11 size=-1\n") + raw_header() + END, "negative size"),
        (raw_header(size=b"%011o\0" % 12, type=b"x") + padded(b"99 path=abc\n") + raw_header() + END, "wrong length"),
        (raw_header(size=b"%011o\0" % 6, type=b"x") + padded(b"6 abc\n") + raw_header() + END, "without a key"),
    ],
)
def test_malformed_archives_are_rejected(data: bytes, words: str) -> None:
    with pytest.raises(ArchiveRejected, match=words):
        read(data)
    with pytest.raises(ArchiveRejected, match=words):
        asyncio.run(read_async(data, step=100))


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (raw_header(size=b"\x80" + (1 << 40).to_bytes(11, "big")) + END, "more than"),
        (raw_header(size=b"%011o\0" % (1 << 20), type=b"x") + END, "extension header"),
        (raw_header(size=b"%011o\0" % (70 << 10), type=b"L") + END, "extension header"),
        ((raw_header(type=b"g") * 20) + raw_header() + END, "16 extension headers"),
        (raw_header() * 1001 + END, "1000 entries"),
        (pax_entry({"GNU.sparse.map": "0,5", "GNU.sparse.size": str(2**63)}, b"abcde"), "more than"),
    ],
)
def test_bounds_hold(data: bytes, words: str) -> None:
    with pytest.raises(ArchiveTooLarge, match=words):
        read(data)
    with pytest.raises(ArchiveTooLarge, match=words):
        asyncio.run(read_async(data, step=5000))


def test_endless_sparse_extensions_are_bounded() -> None:
    def stream() -> Iterator[bytes]:
        yield raw_header(type=b"S", magic=b"ustar  \0", tail=(b"00000000001\0" * 8) + b"\1" + b"00000100000\0")
        while True:
            yield b"00000000001\0" * 42 + b"\1" + bytes(7)

    blocks = stream()
    with pytest.raises(ArchiveTooLarge, match="extents"):
        next(iter(TarReader(lambda _: next(blocks), LIMITS)))


async def test_data_that_is_not_read_is_skipped_by_the_asynchronous_reader_too() -> None:
    async def source() -> AsyncIterator[bytes]:
        yield archive(member("a", b"x" * 5000), member("b", b"y"))

    assert [entry.name async for entry in AsyncTarReader(source(), LIMITS).entries()] == [b"a", b"b"]


@pytest.mark.parametrize("data", [b"", raw_header(), raw_header(size=b"%011o\0" % 5) + padded(b"12345")])
async def test_only_the_asynchronous_reader_insists_on_an_end_mark(data: bytes) -> None:
    assert len(read(data)) == bool(data)
    with pytest.raises(ArchiveTruncated, match="without an end mark"):
        await read_async(data)


def test_what_follows_the_end_mark_is_drained() -> None:
    source = io.BytesIO(archive(member("a", b"x")) + bytes(1 << 20) + b"not a tar")
    reader = TarReader(source.read, LIMITS)
    assert [entry.name for entry in reader] == [b"a"]
    reader.drain()
    assert source.read() == b""


def outcome(work: Callable[[], list[tuple[TarEntry, bytes]]]) -> list[tuple[TarEntry, bytes]] | str:
    try:
        return work()
    except (ArchiveRejected, ArchiveTooLarge) as error:
        return error.message


@settings(max_examples=150)
@given(st.data())
def test_damage_never_escapes_as_another_error_however_the_bytes_come(data: st.DataObject) -> None:
    good = bytearray(
        archive(member("a" * 150, b"x" * 700, pax_headers={"SCHILY.xattr.user.a": "b"}), member("b", b"y"))
    )
    for _ in range(data.draw(st.integers(1, 6))):
        good[data.draw(st.integers(0, len(good) - 1))] = data.draw(st.integers(0, 255))
    bad = bytes(good[: data.draw(st.integers(0, len(good)))])
    whole = outcome(lambda: read(bad))
    assert outcome(lambda: read(bad, step=data.draw(st.integers(1, 2000)))) == whole
    pushed = outcome(lambda: asyncio.run(read_async(bad, step=data.draw(st.integers(1, 2000)))))
    assert pushed == whole or (isinstance(pushed, str) and pushed.endswith("without an end mark"))
