"""What is kept beside a layer: read by the releases before and after the one that wrote it."""

from dataclasses import asdict
from pathlib import Path

import orjson
import pytest

from seaway_agent.rootfs.layer_record import RECORD, LayerRecord, load_record

ONE = LayerRecord("sha256:c", "sha256:p", "sha256:d", 10, False, 3, 9, "boot")


def test_it_comes_back(tmp_path: Path) -> None:
    ONE.save(tmp_path)
    assert load_record(tmp_path) == ONE


def test_what_a_later_release_adds_is_passed_over(tmp_path: Path) -> None:
    """Else a release that is put back would take layers away under its containers."""
    (tmp_path / RECORD).write_bytes(orjson.dumps(asdict(ONE) | {"more": [1]}))
    assert load_record(tmp_path) == ONE


@pytest.mark.parametrize("data", [b"", b"[]", b"3", b"{}", b'{"chain_id":"x"}'])
def test_what_is_none_is_no_record(tmp_path: Path, data: bytes) -> None:
    assert load_record(tmp_path) is None
    (tmp_path / RECORD).write_bytes(data)
    assert load_record(tmp_path) is None
