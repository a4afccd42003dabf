import bz2
import gzip
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest

from seaway_contracts.errors import SeawayError
from seaway_contracts.version import VERSION
from seaway_docker.references import parse_reference
from seaway_image.archives.import_ import ImportOrder, import_image
from seaway_image.oci.digests import digest_of
from seaway_image.oci.platforms import Platform
from seaway_image.store.image_store import ImageStore

Chunked = Callable[..., AsyncIterator[bytes]]
Listed = Callable[[Path], set[str]]


@pytest.mark.parametrize("pack", [bytes, gzip.compress, bz2.compress])
async def test_a_tar_becomes_an_image(
    store: ImageStore, make_tar: Any, chunked: Chunked, pack: Callable[[bytes], bytes]
) -> None:
    tar = make_tar({"bin/sh": b"#!"})
    order = ImportOrder(
        target=parse_reference("made:1"), changes=('CMD ["/bin/sh"]', "ENV A=1", "WORKDIR /srv"), message="note"
    )
    image = await import_image(store, chunked(pack(tar)), order, clock_ns=lambda: 5 * 10**9)
    record = await store.get("made:1")
    assert record.id == image
    assert (record.config.cmd, record.config.env, record.config.workdir) == (("/bin/sh",), ("A=1",), "/srv")
    assert (record.comment, record.created_ns, record.history[0].comment) == ("note", 5 * 10**9, "note")
    assert [layer.diff_id for layer in record.layers] == [digest_of(tar)]
    assert record.size == len(b"#!")


async def test_an_image_without_name_tells_its_source(store: ImageStore, make_tar: Any, chunked: Chunked) -> None:
    image = await import_image(store, chunked(make_tar({})), ImportOrder())
    assert (await store.get(image)).comment == "Imported from -"


async def test_an_empty_file_is_an_empty_image(store: ImageStore, chunked: Chunked) -> None:
    image = await import_image(store, chunked(b""), ImportOrder())
    record = await store.get(image)
    assert (record.size, len(record.layers), record.docker_version) == (0, 1, VERSION)


@pytest.mark.parametrize("data", [b"hello", gzip.compress(b"hello"), b"x" * 2000])
async def test_what_is_no_tar_leaves_nothing(
    store: ImageStore, chunked: Chunked, files_in: Listed, data: bytes
) -> None:
    with pytest.raises(SeawayError, match="no tar"):
        await import_image(store, chunked(data), ImportOrder())
    assert files_in(store.blobs.root) == set()


@pytest.mark.parametrize("system", ["windows", "freebsd"])
async def test_for_another_system_is_refused(
    store: ImageStore, make_tar: Any, chunked: Chunked, files_in: Listed, system: str
) -> None:
    with pytest.raises(SeawayError, match=r"^operating system is not supported$"):
        await import_image(store, chunked(make_tar({})), ImportOrder(platform=Platform(os=system)))
    assert files_in(store.blobs.root) == set()


async def test_wrong_changes_leave_nothing(
    store: ImageStore, make_tar: Any, chunked: Chunked, files_in: Listed
) -> None:
    with pytest.raises(SeawayError, match="RUN is not a valid change command"):
        await import_image(store, chunked(make_tar({})), ImportOrder(changes=("RUN x",)))
    assert files_in(store.blobs.root) == set()
