import gzip
import io
import json
import tarfile
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest

from seaway_contracts.errors import SeawayError
from seaway_image.archives.load import load
from seaway_image.archives.save import save
from seaway_image.oci.digests import digest_of
from seaway_image.oci.manifests import OCI_CONFIG, OCI_LAYER, OCI_MANIFEST
from seaway_image.store.image_store import ImageStore
from seaway_testing.packing import zstd_compress

Make = Callable[..., Any]
Chunked = Callable[..., AsyncIterator[bytes]]
Listed = Callable[[Path], set[str]]


async def archive_of(store: ImageStore, *names: str) -> bytes:
    return b"".join([piece async for piece in save(store, names)])


def members(data: bytes) -> dict[str, bytes]:
    with tarfile.open(fileobj=io.BytesIO(data)) as tar:
        return {info.name: (tar.extractfile(info) or io.BytesIO()).read() for info in tar if info.isfile()}


@pytest.mark.parametrize("pack", [bytes, gzip.compress, zstd_compress])
async def test_a_docker_archive_is_loaded(
    store: ImageStore, make_image: Make, chunked: Chunked, files_in: Listed, pack: Callable[[bytes], bytes]
) -> None:
    image = make_image(b"one", b"two")
    done = await load(store, chunked(pack(image.archive("busybox:latest", "a/b:2"))))
    assert done.lines == ("Loaded image: busybox:latest", "Loaded image: a/b:2")
    record = await store.get("busybox")
    assert record.id == image.id
    assert record.repo_tags == ("a/b:2", "busybox:latest")
    assert [layer.diff_id for layer in record.layers] == [digest_of(layer) for layer in image.layers]
    stored = files_in(store.blobs.root)
    assert len([name for name in stored if name.startswith("blobs/")]) == 4
    assert not any(name.startswith("tmp/") for name in stored)


async def test_an_image_without_name(store: ImageStore, make_image: Make, chunked: Chunked) -> None:
    image = make_image()
    assert (await load(store, chunked(image.archive()))).lines == (f"Loaded image ID: {image.id}",)


async def test_a_name_that_moves_is_told(store: ImageStore, make_image: Make, chunked: Chunked) -> None:
    old, new = make_image(b"old"), make_image(b"new")
    await load(store, chunked(old.archive("x:1")))
    done = await load(store, chunked(new.archive("x:1")))
    assert done.lines[0] == f"The image x:1 already exists, renaming the old one with ID {old.id} to empty string"
    assert (await store.get("x:1")).id == new.id


async def test_save_and_load_give_the_same_image(
    store: ImageStore, make_image: Make, chunked: Chunked, tmp_path: Path
) -> None:
    image = make_image(b"one", b"two")
    await load(store, chunked(image.archive("busybox:latest", "busybox:2")))
    data = await archive_of(store, "busybox:latest")
    files = members(data)
    entry = json.loads(files["manifest.json"])[0]
    assert entry["RepoTags"] == ["busybox:latest"]
    assert digest_of(files[entry["Config"]]) == image.id
    assert [digest_of(files[name]) for name in entry["Layers"]] == [digest_of(layer) for layer in image.layers]
    assert json.loads(files["oci-layout"]) == {"imageLayoutVersion": "1.0.0"}
    assert json.loads(files["repositories"]) == {"busybox": {"latest": image.id[7:]}}
    other = ImageStore(tmp_path / "other")
    other.open()
    assert (await load(other, chunked(data))).lines == ("Loaded image: busybox:latest",)
    assert other.table.images[image.id].manifest == store.table.images[image.id].manifest


async def test_an_oci_layout_alone_is_loaded(
    store: ImageStore, make_image: Make, make_tar: Make, chunked: Chunked, tmp_path: Path
) -> None:
    image = make_image()
    await load(store, chunked(image.archive("a:1")))
    files = members(await archive_of(store, "a:1"))
    del files["manifest.json"]
    other = ImageStore(tmp_path / "other")
    other.open()
    assert (await load(other, chunked(make_tar(files)))).lines == ("Loaded image: a:1",)


async def test_a_repository_means_all_its_tags(store: ImageStore, make_image: Make, chunked: Chunked) -> None:
    await load(store, chunked(make_image().archive("a:1", "a:2", "b:1")))
    assert json.loads(members(await archive_of(store, "a"))["manifest.json"])[0]["RepoTags"] == ["a:1", "a:2"]
    by_id = members(await archive_of(store, (await store.get("a:1")).id))
    assert json.loads(by_id["manifest.json"])[0]["RepoTags"] is None
    with pytest.raises(SeawayError, match=r"No such image: zz$"):
        await archive_of(store, "a", "zz")


async def test_links_between_layers_are_followed(store: ImageStore, make_image: Make, chunked: Chunked) -> None:
    image = make_image(b"same")
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        entry = [{"Config": "c.json", "RepoTags": ["l:1"], "Layers": ["x/layer.tar"]}]
        contents = {"y/layer.tar": image.layers[0], "c.json": image.config, "manifest.json": json.dumps(entry).encode()}
        link = tarfile.TarInfo("x/layer.tar")
        link.type, link.linkname = tarfile.SYMTYPE, "../y/layer.tar"
        tar.addfile(link)
        for name, data in contents.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))
    assert (await load(store, chunked(buffer.getvalue()))).lines == ("Loaded image: l:1",)


def docker(config: str = "c.json", **fields: Any) -> bytes:
    return json.dumps([{"Config": config, "RepoTags": ["x:1"], "Layers": ["l.tar"]} | fields]).encode()


@pytest.mark.parametrize(
    ("files", "why"),
    [
        ({"a": b"x"}, "neither manifest.json nor index.json"),
        ({"manifest.json": b"{}"}, "no list"),
        ({"manifest.json": b"[1]"}, "no object"),
        ({"manifest.json": docker()}, "'c.json' is named but missing"),
        ({"manifest.json": docker("../../etc/passwd")}, "leads out of it"),
        ({"../evil": b"x"}, "leads out of it"),
        ({"c.json": b"{}", "l.tar": b"", "manifest.json": docker(RepoTags=["x y:1"])}, "invalid reference format"),
        ({"manifest.json": docker(Layers="l.tar")}, "malformed"),
        ({"manifest.json": docker(Layers=["l.tar"] * 10_000)}, "too many"),
        ({"blobs/sha256/" + "a" * 64: b"x"}, "damaged"),
        ({"index.json": b'{"schemaVersion": 2, "layers": []}'}, "config is missing"),
    ],
)
async def test_hostile_archives_leave_nothing(
    store: ImageStore, make_tar: Make, chunked: Chunked, files_in: Listed, files: dict[str, bytes], why: str
) -> None:
    with pytest.raises(SeawayError, match=why):
        await load(store, chunked(make_tar(files)))
    assert files_in(store.blobs.root) == set()


def sparse() -> bytes:
    info = tarfile.TarInfo("l.tar")
    info.pax_headers = {"GNU.sparse.map": "0,0", "GNU.sparse.size": "1000"}
    return info.tobuf(tarfile.PAX_FORMAT) + bytes(1024)


def long_name() -> bytes:
    return tarfile.TarInfo("n" * 5000).tobuf(tarfile.PAX_FORMAT) + bytes(1024)


def header(kind: bytes) -> bytes:
    info = tarfile.TarInfo("x")
    info.type = kind
    return info.tobuf()


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (b"", "without an end mark"),
        (b"x" * 2000, "is no tar"),
        (sparse(), "without --sparse"),
        (long_name(), "name is too long"),
        (header(b"Q") + bytes(1024), "unknown type"),
        (header(tarfile.DIRTYPE) * 200_001, "more than 200000 entries"),
    ],
)
async def test_what_is_no_proper_tar_leaves_nothing(
    store: ImageStore, chunked: Chunked, files_in: Listed, data: bytes, why: str
) -> None:
    with pytest.raises(SeawayError, match=why):
        await load(store, chunked(data))
    assert files_in(store.blobs.root) == set()


@pytest.mark.parametrize("left", [1024, 5000])
async def test_an_archive_that_was_cut_off_leaves_nothing(
    store: ImageStore, make_image: Make, chunked: Chunked, files_in: Listed, left: int
) -> None:
    data = make_image(b"one").archive("x:1")
    with pytest.raises(SeawayError, match="truncated"):
        await load(store, chunked(data[:left]))
    assert files_in(store.blobs.root) == set()


async def test_a_wrong_diff_id_leaves_nothing(
    store: ImageStore, make_image: Make, chunked: Chunked, files_in: Listed
) -> None:
    image = make_image(rootfs={"type": "layers", "diff_ids": ["sha256:" + "1" * 64]})
    with pytest.raises(SeawayError, match="unpacks to"):
        await load(store, chunked(image.archive("x:1")))
    assert files_in(store.blobs.root) == set()


@pytest.mark.parametrize("layout", ["docker", "OCI"])
async def test_an_image_of_another_system_is_refused_and_leaves_nothing(
    store: ImageStore, make_image: Make, make_tar: Make, chunked: Chunked, files_in: Listed, layout: str
) -> None:
    image = make_image(os="windows")
    manifest = {
        "schemaVersion": 2,
        "config": {"mediaType": OCI_CONFIG, "digest": image.id, "size": len(image.config)},
        "layers": [{"mediaType": OCI_LAYER, "digest": digest_of(layer), "size": len(layer)} for layer in image.layers],
    }
    data = json.dumps(manifest).encode()
    index = {"mediaType": OCI_MANIFEST, "digest": digest_of(data), "size": len(data)}
    blobs = {f"blobs/sha256/{digest_of(blob)[7:]}": blob for blob in (data, image.config, *image.layers)}
    oci = make_tar(blobs | {"index.json": json.dumps({"schemaVersion": 2, "manifests": [index]}).encode()})
    with pytest.raises(SeawayError, match=r"^cannot load windows image on linux$"):
        await load(store, chunked(image.archive("w:1") if layout == "docker" else oci))
    assert files_in(store.blobs.root) == set()
    assert await store.all() == []


async def test_a_link_that_loops_leads_nowhere(store: ImageStore, chunked: Chunked) -> None:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        for name, target in (("c.json", "d"), ("d", "c.json")):
            link = tarfile.TarInfo(name)
            link.type, link.linkname = tarfile.SYMTYPE, target
            tar.addfile(link)
        info = tarfile.TarInfo("manifest.json")
        info.size = len(docker())
        tar.addfile(info, io.BytesIO(docker()))
    with pytest.raises(SeawayError, match="leads nowhere"):
        await load(store, chunked(buffer.getvalue()))


def oci_archive(make_tar: Any, image: Any, *, docker: bool, wrong_size: bool = False, **manifest: Any) -> bytes:
    """An OCI layout, with `manifest.json` beside it if `docker`."""
    document = {
        "schemaVersion": 2,
        "mediaType": OCI_MANIFEST,
        "config": {"mediaType": OCI_CONFIG, "digest": image.id, "size": len(image.config)},
        "layers": [{"mediaType": OCI_LAYER, "digest": digest_of(one), "size": len(one)} for one in image.layers],
    } | manifest
    data = json.dumps({key: value for key, value in document.items() if value is not None}).encode()
    entry = {"mediaType": OCI_MANIFEST, "digest": digest_of(data), "size": len(data) + wrong_size}
    index = {"schemaVersion": 2, "manifests": [entry | {"annotations": {"io.containerd.image.name": "x:1"}}]}
    files = {f"blobs/sha256/{digest_of(blob)[7:]}": blob for blob in (image.config, *image.layers, data)}
    names = list(files)
    beside = [{"Config": names[0], "RepoTags": ["x:1"], "Layers": names[1:-1]}]
    files |= {"index.json": json.dumps(index).encode()}
    return bytes(make_tar(files | ({"manifest.json": json.dumps(beside).encode()} if docker else {})))


async def test_an_index_beside_manifest_json_is_a_hint_alone(
    store: ImageStore, make_image: Make, make_tar: Any, chunked: Chunked
) -> None:
    image = make_image()
    for archive in (
        oci_archive(make_tar, image, docker=True, schemaVersion=None),
        oci_archive(make_tar, image, docker=True, wrong_size=True),
    ):
        assert (await load(store, chunked(archive))).lines == ("Loaded image: x:1",)
        await store.remove("x:1")


@pytest.mark.parametrize(
    ("changes", "why"), [({"schemaVersion": None}, "schemaVersion must be 2"), ({"wrong_size": True}, "its index says")]
)
async def test_an_index_alone_must_be_right(
    store: ImageStore, make_image: Make, make_tar: Any, chunked: Chunked, files_in: Listed, changes: Any, why: str
) -> None:
    with pytest.raises(SeawayError, match=why):
        await load(store, chunked(oci_archive(make_tar, make_image(), docker=False, **changes)))
    assert files_in(store.blobs.root) == set()


async def test_parents_go_with_their_children(
    store: ImageStore, make_image: Make, chunked: Chunked, make_tar: Any, tmp_path: Path
) -> None:
    base, child = make_image(b"one"), make_image(b"one", b"two")
    files = {f"{n}.tar": layer for n, layer in enumerate(child.layers)}
    files |= {"base.json": base.config, "child.json": child.config}
    listed = [
        {"Config": "child.json", "RepoTags": ["child:1"], "Layers": ["0.tar", "1.tar"], "Parent": base.id},
        {"Config": "base.json", "RepoTags": ["base:1"], "Layers": ["0.tar"], "Parent": child.id},
    ]
    await load(store, chunked(make_tar(files | {"manifest.json": json.dumps(listed).encode()})))
    assert (await store.get("child:1")).parent == base.id
    assert (await store.get("base:1")).parent == "", "nobody is his own grandparent"
    other = ImageStore(tmp_path / "other")
    other.open()
    await load(other, chunked(await archive_of(store, "child:1", "base:1")))
    assert (await other.get("child:1")).parent == base.id
    alone = json.loads(members(await archive_of(store, "child:1"))["manifest.json"])
    assert "Parent" not in alone[0]


async def test_what_is_saved_is_dated(store: ImageStore, make_image: Make, chunked: Chunked) -> None:
    image = make_image(b"one")
    await load(store, chunked(image.archive("x:1")))
    with tarfile.open(fileobj=io.BytesIO(await archive_of(store, "x:1"))) as tar:
        dates = {info.name: info.mtime for info in tar}
    created = (await store.get("x:1")).created_ns // 10**9
    dated = {name for name, mtime in dates.items() if mtime == created}
    blobs = {f"blobs/sha256/{digest[7:]}" for digest in (image.id, digest_of(image.layers[0]))}
    assert dated == {"blobs", "blobs/sha256", *blobs}
    assert {mtime for name, mtime in dates.items() if name not in dated} == {0}


async def test_an_archive_of_nothing(store: ImageStore) -> None:
    data = await archive_of(store)
    assert (len(data), list(members(data))) == (4096, ["index.json", "manifest.json", "oci-layout"])
