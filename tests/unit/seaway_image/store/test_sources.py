"""What is known of blobs in registries."""

from pathlib import Path

from seaway_image.oci.digests import Digest
from seaway_image.store.remote_blobs import RemoteBlob
from seaway_image.store.sources import BlobSources


def blob(number: int, repository: str = "r.test/a", tar: str = "d") -> RemoteBlob:
    return RemoteBlob(
        diff_id=Digest("sha256:" + tar * 64),
        digest=Digest(f"sha256:{number:064x}"),
        size=number,
        compression="gzip",
        repository=repository,
    )


def opened(path: Path) -> BlobSources:
    sources = BlobSources(path)
    sources.open()
    return sources


def test_the_newest_come_first_and_outlive_a_restart(tmp_path: Path) -> None:
    sources = opened(tmp_path / "s")
    for one in (blob(1), blob(2), blob(1), blob(1)):
        sources.add(one)
    for known in (sources, opened(tmp_path / "s")):
        assert known.of(blob(1).diff_id) == [blob(1), blob(2)]
        assert known.has(blob(2).digest, blob(2).diff_id) and not known.has(blob(3).digest, blob(3).diff_id)


def test_what_is_gone_is_forgotten(tmp_path: Path) -> None:
    sources = opened(tmp_path / "s")
    sources.add(blob(1))
    sources.remove(blob(1))
    sources.remove(blob(9, tar="e"))
    assert sources.of(blob(1).diff_id) == []


def test_it_is_bounded(tmp_path: Path) -> None:
    sources = opened(tmp_path / "s")
    for number in range(200):
        sources.add(blob(number))
    assert len(sources.of(blob(1).diff_id)) == 50
    assert len(opened(tmp_path / "s").of(blob(1).diff_id)) == 50


def test_lines_that_can_not_be_read_are_left_out(tmp_path: Path) -> None:
    path = tmp_path / "s"
    opened(path).add(blob(1))
    path.write_bytes(path.read_bytes() + b'[1]\n{"diff_id":1}\n\xff\n{"torn')
    assert opened(path).of(blob(1).diff_id) == [blob(1)]


def test_without_a_disk_it_is_kept_in_memory(tmp_path: Path) -> None:
    sources = opened(tmp_path / "no" / "such" / "directory")
    sources.add(blob(1))
    assert sources.of(blob(1).diff_id) == [blob(1)]
