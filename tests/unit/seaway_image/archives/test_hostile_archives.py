import asyncio
import json
import tempfile
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.hostile.archives import DOCUMENTS, any_json, archives, circle_of_links

from seaway_contracts.errors import SeawayError
from seaway_docker.references import InvalidReference, parse_reference
from seaway_image.archives.import_ import ImportOrder, import_image
from seaway_image.archives.load import load
from seaway_image.oci.configs import parse_config
from seaway_image.oci.manifests import parse_manifest
from seaway_image.store.image_store import ImageStore

_FUZZ = settings(
    deadline=None, max_examples=60, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large]
)


async def _pieces(data: bytes) -> AsyncIterator[bytes]:
    for start in range(0, len(data), 700):
        yield data[start : start + 700]


def _files(place: Path) -> set[str]:
    return {str(path.relative_to(place)) for path in place.rglob("*") if not path.is_dir()}


def _taken_or_refused(data: bytes, *, as_import: bool) -> str:
    """The refusal's words. Nothing is outside of the store; what was refused has left nothing in it."""
    with tempfile.TemporaryDirectory() as name:
        place = Path(name)
        store = ImageStore(place / "image")
        store.open()
        taking = import_image(store, _pieces(data), ImportOrder()) if as_import else load(store, _pieces(data))
        try:
            asyncio.run(_ended(taking))
        except SeawayError as refused:
            assert refused.message and len(refused.message) < 2000
            assert _files(place) == set()
            return refused.message
        assert all(path.startswith(("image/blobs/sha256/", "image/names.json")) for path in _files(place))
        needed = {digest[7:] for digest in store.table.blobs()}
        assert {path.rpartition("/")[2] for path in _files(place)} - {"names.json"} <= needed
        return ""


async def _ended(taking: Any) -> None:
    await taking


@_FUZZ
@given(archives(), st.booleans())
def test_any_archive_is_taken_or_refused_without_a_trace(data: bytes, as_import: bool) -> None:
    _taken_or_refused(data, as_import=as_import)


def test_links_that_lead_round_in_a_circle() -> None:
    assert "holds no image" in _taken_or_refused(circle_of_links(), as_import=False)


@_FUZZ
@given(DOCUMENTS | any_json().map(lambda value: json.dumps(value).encode("utf-8", "surrogatepass")) | st.binary())
def test_any_document_is_read_or_refused(data: bytes) -> None:
    for read in (parse_config, parse_manifest):
        try:
            read(data)
        except SeawayError as refused:
            assert refused.status < 500


@_FUZZ
@given(st.text(alphabet=st.sampled_from("aA0./:@-_ é\n"), max_size=300) | st.text())
def test_any_reference_is_read_or_refused(text: str) -> None:
    try:
        reference = parse_reference(text)
    except InvalidReference:
        return
    assert parse_reference(reference.canonical) == reference
    assert parse_reference(reference.familiar).canonical == reference.canonical


@pytest.mark.parametrize("depth", [65, 5000, 100_000])
def test_deep_documents_are_refused(depth: int) -> None:
    data = b'{"a":' * depth + b"1" + b"}" * depth
    for read in (parse_config, parse_manifest):
        with pytest.raises(SeawayError):
            read(data)
