import io
import tarfile

import pytest

from seaway_image.store.content_size import ContentSize


def made(kind: int, *, big_name: bool = False) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=kind) as tar:
        for name, size in (("empty", 0), ("a" * (300 if big_name else 9), 1000), ("block", 512), ("more", 70_001)):
            info = tarfile.TarInfo(name)
            info.size, info.mtime = size, 1.5 if kind == tarfile.PAX_FORMAT else 1
            tar.addfile(info, io.BytesIO(b"x" * size))
        for name, bodiless in (("d", tarfile.DIRTYPE), ("l", tarfile.SYMTYPE), ("h", tarfile.LNKTYPE)):
            info = tarfile.TarInfo(name)
            info.type, info.linkname = bodiless, "block"
            tar.addfile(info)
    return buffer.getvalue()


def counted(data: bytes, step: int) -> int:
    content = ContentSize()
    for start in range(0, len(data), step):
        content.feed(data[start : start + step])
    return content.size


@pytest.mark.parametrize("step", [1, 511, 512, 4000, 1 << 20])
@pytest.mark.parametrize("kind", [tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
def test_files_are_added_up(kind: int, step: int) -> None:
    assert counted(made(kind), step) == 71_518


@pytest.mark.parametrize("kind", [tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
def test_long_names_count_nothing(kind: int) -> None:
    assert counted(made(kind, big_name=True), 1000) == 71_518


@pytest.mark.parametrize(
    ("kind", "target"),
    [
        (tarfile.USTAR_FORMAT, "short"),
        (tarfile.GNU_FORMAT, "ä/b"),
        (tarfile.GNU_FORMAT, "long/" * 60),
        (tarfile.PAX_FORMAT, "ä/b"),
        (tarfile.PAX_FORMAT, "long/" * 60),
    ],
)
def test_a_link_is_as_long_as_its_target(kind: int, target: str) -> None:
    link = tarfile.TarInfo("link")
    link.type, link.linkname = tarfile.SYMTYPE, target
    plain = tarfile.TarInfo("hard")
    plain.type, plain.linkname = tarfile.LNKTYPE, "another"
    data = link.tobuf(kind) + plain.tobuf(kind) + bytes(1024)
    assert counted(data, 100) == len(target.encode())


def test_the_size_in_an_extended_header_counts() -> None:
    info = tarfile.TarInfo("huge")
    info.size, info.pax_headers = 0, {"size": "700"}
    assert counted(info.tobuf(tarfile.PAX_FORMAT) + bytes(1024) + bytes(1024), 100) == 700


@pytest.mark.parametrize("data", [b"no tar at all" * 100, made(tarfile.GNU_FORMAT)[:1024] + b"rubbish" * 400])
def test_what_is_no_tar_counts_as_a_whole(data: bytes) -> None:
    assert counted(data, 700) == len(data)


def test_nothing_is_nothing() -> None:
    assert ContentSize().size == 0
