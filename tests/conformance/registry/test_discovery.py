"""Distribution spec 1.1, "Content Discovery": tags in order and in pages, and referrers."""

import json

import pytest
from tests.conformance.registry.client import Answer, Client
from tests.conformance.registry.content import INDEX, Content, artifact, image, index, subject_of

from seaway_image.oci.digests import Digest

SBOM, SIGNATURE = "application/vnd.example.sbom.v1", "application/vnd.example.signature.v1"
TAGS = ["0.1", "A", "B2", "b10", "b9", "latest", "x_y"]


pytestmark = pytest.mark.part("sorted tags")


@pytest.fixture
async def tagged(client: Client, name: str) -> str:
    await client.push(name, image(), *reversed(TAGS))
    return name


async def test_all_tags(client: Client, tagged: str) -> None:
    got = await client.ask("GET", f"/v2/{tagged}/tags/list")
    assert (got.status, got.json) == (200, {"name": tagged, "tags": TAGS})


async def test_tags_in_pages(client: Client, tagged: str) -> None:
    found: list[str] = []
    path = f"/v2/{tagged}/tags/list?n=3"
    for _ in range(len(TAGS)):
        got = await client.ask("GET", path)
        assert len(got.json["tags"]) <= 3
        found += got.json["tags"]
        if "Link" not in got.headers:
            break
        target, _, relation = got.headers["Link"].partition(";")
        assert relation.strip() == 'rel="next"'
        path = target.strip("<>")
    assert found == TAGS


@pytest.mark.parametrize(
    ("query", "tags"),
    [("n=2&last=B2", TAGS[3:5]), ("last=b9", TAGS[5:]), ("n=100", TAGS), ("n=1&last=zz", []), ("last=AA", TAGS[2:])],
)
async def test_tags_after_one(client: Client, tagged: str, query: str, tags: list[str]) -> None:
    assert ((await client.ask("GET", f"/v2/{tagged}/tags/list?{query}")).json["tags"] or []) == tags


@pytest.mark.part("referrers")
async def test_no_tags_are_asked_for(client: Client, tagged: str) -> None:
    got = await client.ask("GET", f"/v2/{tagged}/tags/list?n=0")
    assert got.json["tags"] == [] and "Link" not in got.headers


async def test_tags_of_a_repository_that_is_not_there(client: Client, name: str) -> None:
    got = await client.ask("GET", f"/v2/{name}/tags/list")
    assert (got.status, got.codes) == (404, ["NAME_UNKNOWN"])


async def referrers(client: Client, name: str, digest: Digest, query: str = "") -> Answer:
    got = await client.ask("GET", f"/v2/{name}/referrers/{digest}{query}")
    assert (got.status, got.headers["Content-Type"]) == (200, INDEX)
    assert (got.json["schemaVersion"], got.json["mediaType"]) == (2, INDEX)
    return got


def digests(answer: Answer) -> set[str]:
    return {one["digest"] for one in answer.json["manifests"]}


@pytest.mark.part("referrers")
async def test_referrers_and_what_is_said_of_them(client: Client, name: str) -> None:
    subject = image()
    await client.push(name, subject, "v1")
    assert digests(await referrers(client, name, subject.digest)) == set()
    sbom = artifact(SBOM, subject=subject_of(subject), annotations={"org.example.format": "json"})
    chart = artifact(config="application/vnd.example.config", subject=subject_of(subject))
    many = index(subject=subject_of(subject), annotations={"a": "b"})
    typed = index(artifactType=SIGNATURE, subject=subject_of(subject))
    for content in (sbom, chart, many, typed, artifact(SBOM, subject=subject_of(image()))):
        await client.push(name, content)
    got = await referrers(client, name, subject.digest)
    described = {one["digest"]: one for one in got.json["manifests"]}
    assert set(described) == {one.digest for one in (sbom, chart, many, typed)}
    assert described[sbom.digest] == {
        "mediaType": sbom.media_type,
        "digest": sbom.digest,
        "size": len(sbom.manifest),
        "artifactType": SBOM,
        "annotations": {"org.example.format": "json"},
    }
    assert described[chart.digest]["artifactType"] == "application/vnd.example.config"
    assert "artifactType" not in described[many.digest]
    assert described[many.digest]["annotations"] == {"a": "b"}
    assert described[typed.digest]["artifactType"] == SIGNATURE


@pytest.mark.part("referrers")
async def test_referrers_of_one_type(client: Client, name: str) -> None:
    subject = image()
    sbom, signature = (artifact(kind, subject=subject_of(subject)) for kind in (SBOM, SIGNATURE))
    for content in (sbom, signature):
        await client.push(name, content)
    got = await referrers(client, name, subject.digest, f"?artifactType={SBOM}")
    assert digests(got) == {sbom.digest}
    assert got.headers["OCI-Filters-Applied"] == "artifactType"
    assert "OCI-Filters-Applied" not in (await referrers(client, name, subject.digest)).headers


@pytest.mark.part("referrers")
async def test_referrers_are_never_unknown(client: Client, name: str) -> None:
    assert digests(await referrers(client, name, image().digest)) == set()
    bad = await client.ask("GET", f"/v2/{name}/referrers/sha256:nothing")
    assert bad.status == 400


@pytest.mark.part("referrers")
async def test_referrers_that_are_gone(client: Client, name: str) -> None:
    subject = image()
    sbom = artifact(SBOM, subject=subject_of(subject))
    await client.push(name, sbom)
    assert (await client.ask("DELETE", f"/v2/{name}/manifests/{sbom.digest}")).status == 202
    assert digests(await referrers(client, name, subject.digest)) == set()


async def test_the_referrers_tag(client: Client, name: str) -> None:
    """As a client that knows no referrers API keeps the list: an index under a tag made of the subject's digest."""
    subject = image()
    await client.push(name, subject, "v1")
    sbom = artifact(SBOM, subject=subject_of(subject))
    await client.push(name, sbom)
    tag = subject.digest.replace(":", "-")
    entry = subject_of(sbom) | {"artifactType": SBOM}
    listed = Content(json.dumps({"schemaVersion": 2, "mediaType": INDEX, "manifests": [entry]}).encode(), INDEX)
    await client.push(name, listed, tag)
    assert (await client.manifest(name, tag)).body == listed.manifest
    if "referrers" not in client.lacks:
        assert digests(await referrers(client, name, subject.digest)) == {sbom.digest}
