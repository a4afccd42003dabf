import json
from typing import Any

import pytest

from seaway_contracts.errors import Code, SeawayError
from seaway_image.oci.digests import digest_of
from seaway_image.oci.manifests import (
    DOCKER_LIST,
    DOCKER_MANIFEST,
    OCI_CONFIG,
    OCI_INDEX,
    OCI_LAYER,
    OCI_MANIFEST,
    Descriptor,
    Index,
    Manifest,
    encode_manifest,
    parse_manifest,
    select_entry,
)
from seaway_image.oci.platforms import Platform, parse_platform

D = "sha256:" + "1" * 64
GZIP_LAYER = OCI_LAYER + "+gzip"


def descriptor(media_type: str, **fields: Any) -> dict[str, Any]:
    return {"mediaType": media_type, "digest": D, "size": 10} | fields


def manifest(**fields: Any) -> dict[str, Any]:
    return {
        "schemaVersion": 2,
        "mediaType": OCI_MANIFEST,
        "config": descriptor(OCI_CONFIG),
        "layers": [descriptor(GZIP_LAYER)],
    } | fields


def index(*platforms: str, **fields: Any) -> dict[str, Any]:
    entries = []
    for number, platform in enumerate(platforms):
        names = dict(zip(("os", "architecture", "variant"), platform.split("/"), strict=False))
        entries.append(descriptor(OCI_MANIFEST, digest=f"sha256:{number:064x}", platform=names))
    return {"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": entries} | fields


def parse(document: dict[str, Any], content_type: str = "") -> Manifest | Index:
    return parse_manifest(json.dumps(document).encode(), content_type)


def test_a_manifest_is_read() -> None:
    found = parse(manifest(), OCI_MANIFEST + "; charset=utf-8")
    assert isinstance(found, Manifest)
    assert found.config.digest == D
    assert [layer.media_type for layer in found.layers] == [GZIP_LAYER]


def test_the_content_type_counts_where_the_document_says_none() -> None:
    document = manifest()
    del document["mediaType"]
    assert parse(document, DOCKER_MANIFEST).media_type == DOCKER_MANIFEST
    assert parse(document, "application/octet-stream").media_type == OCI_MANIFEST


@pytest.mark.parametrize(
    ("document", "content_type", "why"),
    [
        (manifest(manifests=[]), "", "both layers and manifests"),
        (manifest(), DOCKER_MANIFEST, "announced as"),
        (manifest(mediaType=OCI_INDEX), "", "does not fit"),
        (index("linux/amd64", mediaType=OCI_MANIFEST), "", "does not fit"),
        (manifest(mediaType="application/vnd.evil"), "", "unsupported media type"),
        (manifest(schemaVersion=1), "", "schema 1"),
        (manifest(), "application/vnd.docker.distribution.manifest.v1+prettyjws", "schema 1"),
        (manifest(schemaVersion=3), "", "schemaVersion"),
        (manifest(config=None), "", "config is missing"),
        (manifest(layers=None), "", "layers is missing"),
        (manifest(layers=[descriptor(GZIP_LAYER)] * 10_000), "", "10000 layers"),
        (manifest(layers=[descriptor(GZIP_LAYER, digest="sha256:../../x")]), "", "invalid digest"),
        (manifest(layers=[descriptor(GZIP_LAYER, digest="md5:" + "1" * 32)]), "", "invalid digest"),
        (manifest(layers=[descriptor(GZIP_LAYER, size=-1)]), "", "size"),
        (manifest(layers=[descriptor(GZIP_LAYER, size=2**60)]), "", "size"),
        (manifest(layers=[descriptor(GZIP_LAYER, size=True)]), "", "size"),
        (manifest(layers=[descriptor("text/html")]), "", "unsupported media type"),
        (manifest(config=descriptor("application/vnd.cncf.helm.config.v1+json")), "", "no container image's"),
        (manifest(config=descriptor(OCI_CONFIG, size=5 << 20)), "", "config of"),
        (index(*["linux/amd64"] * 1001), "", "1001 manifests"),
        (index(manifests=[descriptor(OCI_MANIFEST, platform="linux")]), "", "platform is no object"),
    ],
)
def test_hostile_manifests_are_refused(document: dict[str, Any], content_type: str, why: str) -> None:
    with pytest.raises(SeawayError, match=why):
        parse(document, content_type)


def test_duplicate_keys_and_size_are_refused() -> None:
    with pytest.raises(SeawayError, match="twice"):
        parse_manifest(b'{"schemaVersion": 2, "layers": [], "layers": []}')
    with pytest.raises(SeawayError) as refused:
        parse_manifest(b'{"x": "' + b"y" * (5 << 20) + b'"}')
    assert refused.value.code is Code.TOO_LARGE


def test_urls_of_a_foreign_layer_are_dropped() -> None:
    found = parse(manifest(layers=[descriptor(GZIP_LAYER, urls=["http://169.254.169.254/", "file:///etc"])]))
    assert isinstance(found, Manifest)
    assert not hasattr(found.layers[0], "urls")


def test_the_entry_for_a_platform() -> None:
    found = parse(index("linux/arm64/v8", "linux/amd64", "windows/amd64"))
    assert isinstance(found, Index)
    assert select_entry(found, Platform()).descriptor.digest.endswith("1")
    assert select_entry(found, parse_platform("linux/arm64")).descriptor.digest.endswith("0")
    with pytest.raises(SeawayError, match="no matching manifest for linux/s390x in the manifest list entries"):
        select_entry(found, parse_platform("linux/s390x"))


def test_attestations_are_never_chosen() -> None:
    entries = [descriptor("application/vnd.in-toto+json", platform={"os": "linux", "architecture": "amd64"})]
    found = parse({"schemaVersion": 2, "mediaType": DOCKER_LIST, "manifests": entries})
    assert isinstance(found, Index)
    with pytest.raises(SeawayError, match="no matching manifest"):
        select_entry(found, Platform())


def test_a_made_manifest_is_read_back() -> None:
    config = Descriptor(OCI_CONFIG, digest_of(b"c"), 1)
    layers = (Descriptor(GZIP_LAYER, digest_of(b"l"), 1),)
    assert parse_manifest(encode_manifest(config, layers)) == Manifest(OCI_MANIFEST, config, layers)
