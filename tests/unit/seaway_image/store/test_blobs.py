import asyncio
import errno
import os
import threading
from collections.abc import Callable, Iterable
from pathlib import Path

import pytest

from seaway_contracts.errors import Code, SeawayError
from seaway_image.oci.digests import Digest, digest_of
from seaway_image.store.blobs import BlobStore
from seaway_image.store.image_store import ImageStore
from seaway_image.store.ingest import BlobWriter, DigestMismatch

DATA = os.urandom(3 << 20)
DIGEST = digest_of(DATA)
Listed = Callable[[Path], set[str]]


@pytest.fixture
def blobs(tmp_path: Path) -> BlobStore:
    store = BlobStore(tmp_path / "s")
    store.open()
    return store


async def fill(blobs: BlobStore, data: bytes, digest: Digest | None = None, size: int | None = None) -> Digest:
    async with blobs.writer(digest=digest, size=size) as writer:
        assert writer is not None
        for start in range(0, len(data), 100_000):
            await writer.write(data[start : start + 100_000])
        return await writer.finish()


async def test_a_blob_is_stored_under_its_digest(blobs: BlobStore, files_in: Listed) -> None:
    assert await fill(blobs, DATA, DIGEST, len(DATA)) == DIGEST
    assert files_in(blobs.root) == {f"blobs/sha256/{DIGEST[7:]}"}
    assert b"".join([piece async for piece in blobs.read(DIGEST)]) == DATA
    assert b"".join([piece async for piece in blobs.read(DIGEST, 5, 7)]) == DATA[5:12]
    assert blobs.size(DIGEST) == len(DATA)


async def test_an_unnamed_blob_gets_its_name_from_its_content(blobs: BlobStore, files_in: Listed) -> None:
    assert await fill(blobs, b"x") == digest_of(b"x")
    assert await fill(blobs, b"x") == digest_of(b"x")
    assert await fill(blobs, b"") == digest_of(b"")
    assert files_in(blobs.root) == {f"blobs/sha256/{digest_of(data)[7:]}" for data in (b"x", b"")}


async def test_a_stored_blob_needs_no_writer(blobs: BlobStore) -> None:
    await blobs.put(b"x")
    async with blobs.writer(digest=digest_of(b"x")) as writer:
        assert writer is None


async def test_wrong_content_is_refused_and_forgotten(blobs: BlobStore, files_in: Listed) -> None:
    with pytest.raises(DigestMismatch, match="verification failed"):
        await fill(blobs, b"other", DIGEST)
    with pytest.raises(SeawayError, match="announced"):
        await fill(blobs, DATA[:-1], DIGEST, len(DATA))
    with pytest.raises(SeawayError) as refused:
        await fill(blobs, DATA + b"!", DIGEST, len(DATA))
    assert refused.value.code is Code.TOO_LARGE
    assert files_in(blobs.root) == set()


async def test_an_interrupted_blob_goes_on_where_it_stopped(blobs: BlobStore, files_in: Listed) -> None:
    with pytest.raises(ConnectionError):
        async with blobs.writer(digest=DIGEST, size=len(DATA)) as writer:
            assert writer is not None
            await writer.write(DATA[:1_500_000])
            raise ConnectionError
    assert files_in(blobs.root) == {f"tmp/{DIGEST[7:]}.partial"}
    blobs.open()
    async with blobs.writer(digest=DIGEST, size=len(DATA)) as writer:
        assert writer is not None
        assert writer.offset == 1_500_000
        await writer.write(DATA[writer.offset :])
        await writer.finish()
    assert files_in(blobs.root) == {f"blobs/sha256/{DIGEST[7:]}"}


async def test_an_interrupted_unnamed_blob_leaves_nothing(blobs: BlobStore, files_in: Listed) -> None:
    with pytest.raises(ConnectionError):
        async with blobs.writer() as writer:
            assert writer is not None
            await writer.write(DATA)
            raise ConnectionError
    assert files_in(blobs.root) == set()


async def test_two_writers_of_one_blob_take_turns(blobs: BlobStore) -> None:
    async with blobs.writer(digest=DIGEST) as first:
        assert first is not None
        waiting = asyncio.create_task(fill_or_find(blobs))
        await first.write(DATA)
        assert not waiting.done()
        await first.finish()
    assert await waiting == "found"


async def fill_or_find(blobs: BlobStore) -> str:
    async with blobs.writer(digest=DIGEST) as writer:
        return "found" if writer is None else "filled"


async def test_leftovers_are_swept(blobs: BlobStore, files_in: Listed) -> None:
    tmp = blobs.root / "tmp"
    for name in ("a.ingest", "old.partial", "new.partial", "stray"):
        (tmp / name).write_bytes(b"x")
    os.utime(tmp / "old.partial", (1, 1))
    blobs.open(partial_grace_s=3600)
    assert files_in(blobs.root) == {"tmp/new.partial"}


@pytest.mark.parametrize("name", ["sha256:../../x", "md5:0", "", "sha256:" + "G" * 64])
def test_only_digests_have_paths(blobs: BlobStore, name: str) -> None:
    with pytest.raises(SeawayError, match="invalid digest"):
        blobs.path(Digest(name))


async def test_a_full_disk_is_told_and_nothing_is_left(
    blobs: BlobStore, files_in: Listed, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(self: BlobWriter, data: bytes) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(BlobWriter, "_append", full)
    with pytest.raises(SeawayError, match="no space left on device") as refused:
        await fill(blobs, DATA, DIGEST)
    assert refused.value.code is Code.NO_SPACE
    assert files_in(blobs.root) == set()


async def test_collection_spares_the_referenced_the_leased_and_the_young(blobs: BlobStore) -> None:
    kept, leased, young, gone = [(await blobs.put(data)).digest for data in (b"a", b"b", b"c", b"d")]
    for digest in (kept, leased, gone):
        os.utime(blobs.path(digest), (1, 1))
    with blobs.lease() as lease:
        lease.hold(leased)
        assert [blob.digest for blob in blobs.collect(frozenset({kept}), grace_s=60)] == [gone]
    assert [blob.digest for blob in blobs.collect(frozenset({kept}), grace_s=60)] == [leased]
    assert set(blobs.digests()) == {kept, young}


async def test_others_go_on_while_blobs_are_looked_through(store: ImageStore, monkeypatch: pytest.MonkeyPatch) -> None:
    """There may be hundreds of thousands. What somebody begins to rely on meanwhile stays."""
    wanted, gone = [(await store.blobs.put(data)).digest for data in (b"a", b"b")]
    listed, looked = threading.Event(), BlobStore.digests

    def slowly(blobs: BlobStore) -> Iterable[Digest]:
        assert listed.wait(10), "the event loop waits for the disk"
        return looked(blobs)

    monkeypatch.setattr(BlobStore, "digests", slowly)
    collecting = asyncio.create_task(store.collect(grace_s=0))
    with store.blobs.lease() as lease:
        await asyncio.sleep(0)
        lease.hold(wanted)
        listed.set()
        assert [blob.digest for blob in await collecting] == [gone]
    assert list(looked(store.blobs)) == [wanted]


@pytest.mark.parametrize("there_already", [False, True])
async def test_a_collection_beside_it_spares_what_is_being_placed(
    blobs: BlobStore, monkeypatch: pytest.MonkeyPatch, there_already: bool
) -> None:
    if there_already:
        await blobs.put(b"x")
    place = BlobWriter.place

    def placed_and_collected(writer: BlobWriter, directory: Path) -> bool:
        new = place(writer, directory)
        blobs.collect(frozenset(), grace_s=0)
        return new

    monkeypatch.setattr(BlobWriter, "place", placed_and_collected)
    with blobs.lease() as lease:
        async with blobs.writer(lease=lease) as writer:
            assert writer is not None
            await writer.write(b"x")
            digest = await writer.finish()
        assert blobs.size(digest) == 1


async def test_a_failed_operation_takes_back_only_what_it_made(blobs: BlobStore) -> None:
    before = (await blobs.put(b"before")).digest
    with blobs.lease() as lease, blobs.lease() as other:
        made = (await blobs.put(b"made", lease=lease)).digest
        shared = (await blobs.put(b"shared", lease=lease)).digest
        await blobs.put(b"before", lease=lease)
        other.hold(shared)
        blobs.discard(lease, frozenset())
    assert set(blobs.digests()) == {before, shared}
    assert made not in blobs.digests()


async def test_rot_is_noticed(blobs: BlobStore) -> None:
    digest = (await blobs.put(b"good")).digest
    blobs.path(digest).write_bytes(b"evil")
    with pytest.raises(SeawayError, match="damaged on disk"):
        await blobs.read_bytes(digest, 100)
