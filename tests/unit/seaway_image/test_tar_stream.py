import io
import tarfile
from collections.abc import AsyncIterator, Callable

import pytest

from seaway_contracts.errors import SeawayError
from seaway_image.tar_stream import TarEntry, TarReader, check_first_header, encode_header

Chunked = Callable[..., AsyncIterator[bytes]]


def archive(*entries: tuple[tarfile.TarInfo, bytes], form: int = tarfile.PAX_FORMAT) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=form) as tar:
        for info, data in entries:
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))
    return buffer.getvalue()


def info(name: str, kind: bytes = tarfile.REGTYPE, link: str = "") -> tarfile.TarInfo:
    made = tarfile.TarInfo(name)
    made.type, made.linkname = kind, link
    return made


async def read(source: AsyncIterator[bytes], *, content: bool = True) -> list[tuple[TarEntry, bytes]]:
    reader = TarReader(source)
    found = []
    async for entry in reader.entries():
        data = b"".join([piece async for piece in reader.content()]) if content else b""
        found.append((entry, data))
    return found


@pytest.mark.parametrize("form", [tarfile.PAX_FORMAT, tarfile.GNU_FORMAT])
@pytest.mark.parametrize("size", [1, 511, 512, 10_000])
async def test_entries_in_order(chunked: Chunked, form: int, size: int) -> None:
    long = "d/" * 100 + "ü" * 50
    data = archive(
        (info("a"), b"x" * 700),
        (info(long), b""),
        (info("l", tarfile.SYMTYPE, long), b""),
        (info("dir", tarfile.DIRTYPE), b""),
        (info("p", tarfile.FIFOTYPE), b""),
        (info("z"), b"end"),
        form=form,
    )
    found = await read(chunked(data, size))
    assert [(entry.kind, entry.name, entry.link) for entry, _ in found] == [
        ("file", "a", ""),
        ("file", long, ""),
        ("symlink", "l", long),
        ("directory", "dir", ""),
        ("other", "p", ""),
        ("file", "z", ""),
    ]
    assert [content for _, content in found] == [b"x" * 700, b"", b"", b"", b"", b"end"]


async def test_content_that_is_not_read_is_skipped(chunked: Chunked) -> None:
    data = archive((info("a"), b"x" * 5000), (info("b"), b"y"))
    assert [entry.name for entry, _ in await read(chunked(data), content=False)] == ["a", "b"]


def broken_size(data: bytes) -> bytes:
    header = bytearray(data)
    header[124:136] = b"\xff" * 12
    header[148:156] = b" " * 8
    header[148:156] = b"%06o\0 " % sum(header[:512])
    return bytes(header)


GOOD = archive((info("a"), b"x" * 700))


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (GOOD[:800], "cut off"),
        (GOOD[:300], "cut off"),
        (b"", "cut off"),
        (b"x" * 512, "no tar"),
        (GOOD[:10] + b"y" + GOOD[11:], "no tar"),
        (broken_size(GOOD), "negative size|no tar"),
        (archive((info("x", tarfile.XHDTYPE), b"9" * 2000)), "damaged extended header"),
        (archive((info("x", tarfile.XHDTYPE), b"12 size=-50\n"), (info("a"), b"")), "no size"),
        (archive((info("x", tarfile.XHDTYPE), b" " * (2 << 20))), "extended header has"),
        (archive((info("x", tarfile.GNUTYPE_LONGNAME), b"n" * 70_000), (info("a"), b"")), "too long"),
    ],
)
async def test_broken_archives_are_refused(chunked: Chunked, data: bytes, why: str) -> None:
    with pytest.raises(SeawayError, match=why):
        await read(chunked(data))


def test_headers_are_written() -> None:
    block = encode_header("blobs/sha256/x", 5)
    assert len(block) == 512
    check_first_header(block)
    check_first_header(bytes(512))
    for bad in (b"", b"\0" * 10, b"x" * 512):
        with pytest.raises(SeawayError, match="no tar"):
            check_first_header(bad)
