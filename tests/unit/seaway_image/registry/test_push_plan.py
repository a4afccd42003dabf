"""What a push decides."""

import json

import pytest

from seaway_contracts.errors import SeawayError
from seaway_docker.references import parse_reference
from seaway_image.oci.digests import Digest
from seaway_image.oci.manifests import (
    DOCKER_CONFIG,
    DOCKER_LAYER_GZIP,
    DOCKER_MANIFEST,
    OCI_CONFIG,
    OCI_LAYER,
    OCI_MANIFEST,
    Descriptor,
    Manifest,
)
from seaway_image.registry.push_plan import (
    PlannedLayer,
    check_repository,
    checks_for,
    compression_in,
    is_final,
    mounts_for,
    plan_push,
    pushed_manifest,
    retry_lines,
    tags_to_push,
    token_scope,
    uploaded_range,
)
from seaway_image.store.names import NameTable, StoredImage, StoredLayer
from seaway_image.store.remote_blobs import RemoteBlob


def digest(sign: str) -> Digest:
    return Digest("sha256:" + sign * 64)


def layer(sign: str = "1", media_type: str = OCI_LAYER, size: int = 1 << 20) -> StoredLayer:
    return StoredLayer(digest=digest(sign), size=size, media_type=media_type, diff_id=digest("d"), diff_size=size)


def image(*layers: StoredLayer) -> StoredImage:
    return StoredImage(id=digest("c"), manifest=digest("m"), layers=layers)


def manifest(media_type: str, config: str, *layers: StoredLayer) -> Manifest:
    parts = tuple(Descriptor(one.media_type, one.digest, one.size) for one in layers)
    return Manifest(media_type, Descriptor(config, digest("c"), 10), parts)


def remote(sign: str, repository: str, compression: str = "gzip") -> RemoteBlob:
    return RemoteBlob(diff_id=digest("d"), digest=digest(sign), size=5, compression=compression, repository=repository)


@pytest.mark.parametrize(
    ("whole", "config", "of_layer", "remote", "packed", "as_is"),
    [
        (DOCKER_MANIFEST, DOCKER_CONFIG, DOCKER_LAYER_GZIP, True, False, True),
        (OCI_MANIFEST, OCI_CONFIG, OCI_LAYER + "+gzip", False, False, True),
        (OCI_MANIFEST, OCI_CONFIG, OCI_LAYER + "+zstd", True, False, True),
        (OCI_MANIFEST, OCI_CONFIG, OCI_LAYER, True, False, True),
        (OCI_MANIFEST, OCI_CONFIG, OCI_LAYER, False, True, False),
        (OCI_MANIFEST, OCI_CONFIG, DOCKER_LAYER_GZIP, True, False, False),
    ],
)
def test_what_is_pushed_as_it_is(
    whole: str, config: str, of_layer: str, remote: bool, packed: bool, as_is: bool
) -> None:
    one = layer(media_type=of_layer)
    plan = plan_push(manifest(whole, config, one), image(one), lambda _: remote)
    assert plan.as_is is as_is
    assert [planned.packed for planned in plan.layers] == [packed]


def test_a_manifest_of_our_own_is_dockers() -> None:
    parts = [Descriptor(OCI_LAYER + "+gzip", digest("1"), 7), Descriptor(DOCKER_LAYER_GZIP, digest("2"), 8)]
    data, media_type = pushed_manifest(Descriptor(OCI_CONFIG, digest("c"), 10), parts)
    assert media_type == DOCKER_MANIFEST
    assert data.startswith(b'{\n   "schemaVersion": 2,\n   "mediaType": ')
    document = json.loads(data)
    assert document["config"]["mediaType"] == DOCKER_CONFIG
    assert [one["mediaType"] for one in document["layers"]] == [DOCKER_LAYER_GZIP] * 2


def test_what_docker_has_no_name_for_is_ocis() -> None:
    parts = [Descriptor(OCI_LAYER + "+zstd", digest("1"), 7), Descriptor(DOCKER_LAYER_GZIP, digest("2"), 8)]
    data, media_type = pushed_manifest(Descriptor(DOCKER_CONFIG, digest("c"), 10), parts)
    assert media_type == OCI_MANIFEST
    assert [one["mediaType"] for one in json.loads(data)["layers"]] == [OCI_LAYER + "+zstd", OCI_LAYER + "+gzip"]


def test_where_a_layer_may_be_mounted_from() -> None:
    target = parse_reference("r.test/team/app:1")
    known = [remote("1", "r.test/x/y"), remote("2", "r.test/team/app"), remote("3", "r.test/team/base")]
    known += [remote("4", "other.test/team/app2"), remote("5", "r.test/z", "zstd")]
    planned = PlannedLayer(layer(), packed=True)
    assert [one.digest for one in mounts_for(planned, target, known)] == [digest("3"), digest("1")]
    assert checks_for(planned, target, known) == [(digest("2"), 5)]
    small = PlannedLayer(layer(size=10), packed=True)
    assert [one.digest for one in mounts_for(small, target, known)] == [digest("3")]
    stored = PlannedLayer(layer("1", OCI_LAYER + "+gzip"), packed=False)
    assert [one.digest for one in mounts_for(stored, target, known)] == [digest("1")]
    assert checks_for(stored, target, known) == [(digest("1"), 1 << 20)]


def test_which_tags_are_pushed() -> None:
    table = NameTable(
        images={digest("c"): image()},
        tags={"r.test/a:2": digest("c"), "r.test/a:1": digest("c"), "r.test/ab:1": digest("c")},
        digests={f"r.test/d@{digest('m')}": digest("c")},
    )
    every = tags_to_push(table, parse_reference("r.test/a"))
    assert [tag.canonical for tag, _ in every] == ["r.test/a:1", "r.test/a:2"]
    for name, error in (
        ("r.test/a:3", "tag does not exist: r.test/a:3"),
        (f"r.test/a@{digest('0')}", "cannot push a digest reference"),
        ("r.test/d", "no tags to push for r.test/d"),
    ):
        with pytest.raises(SeawayError) as refused:
            tags_to_push(table, parse_reference(name))
        assert refused.value.message == error
    check_repository(table, parse_reference("r.test/d:1"))
    with pytest.raises(SeawayError, match=r"An image does not exist locally with the tag: r\.test/b$"):
        check_repository(table, parse_reference("r.test/b:1"))


@pytest.mark.parametrize(
    ("text", "have"),
    [("0-99", 100), ("bytes=0-99", 100), ("0-0", 0), ("1-5", None), ("", None), ("0-x", None), ("0-" + "9" * 19, None)],
)
def test_ranges(text: str, have: int | None) -> None:
    assert uploaded_range(text) == have


def test_small_things() -> None:
    assert token_scope(parse_reference("r.test/a/b"), ["y", "x"]) == (
        "repository:a/b:pull,push repository:x:pull repository:y:pull"
    )
    assert retry_lines(2.1) == ["Retrying in 3 seconds", "Retrying in 2 seconds", "Retrying in 1 second"]
    assert retry_lines(0.01) == ["Retrying in 1 second"]
    assert [compression_in(one) for one in (DOCKER_LAYER_GZIP, OCI_LAYER, OCI_LAYER + "+zstd")] == ["gzip", "", "zstd"]
    assert is_final(403, "") and is_final(400, "DENIED") and not is_final(404, "BLOB_UPLOAD_UNKNOWN")
