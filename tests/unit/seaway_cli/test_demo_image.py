import hashlib
import io
import json
import tarfile
from pathlib import Path

import pytest

from seaway_cli import demo_image
from seaway_cli.errors import CliError


def members(data: bytes) -> dict[str, bytes]:
    with tarfile.open(fileobj=io.BytesIO(data)) as tar:
        return {entry.name: tar.extractfile(entry).read() for entry in tar if entry.isfile()}  # type: ignore[union-attr]


def test_archive_is_whole_and_its_digests_are_right() -> None:
    found = members(demo_image.archive(b"program", ["sh", "ls"]))
    (manifest,) = json.loads(found["manifest.json"])
    assert manifest["RepoTags"] == ["busybox:latest"]
    raw = found[manifest["Config"]]
    assert manifest["Config"] == hashlib.sha256(raw).hexdigest() + ".json"
    config = json.loads(raw)
    assert config["rootfs"]["diff_ids"] == [f"sha256:{hashlib.sha256(found['layer.tar']).hexdigest()}"]
    assert config["config"]["Cmd"] == ["sh"]
    with tarfile.open(fileobj=io.BytesIO(found["layer.tar"])) as layer:
        assert layer.getmember("bin/sh").linkname == "busybox"
        assert layer.getmember("bin/busybox").mode == 0o755
        assert layer.getmember("tmp").mode == 0o1777
        assert b"root:x:0:0" in layer.extractfile("etc/passwd").read()  # type: ignore[union-attr]


def test_same_input_same_image() -> None:
    assert demo_image.archive(b"p", ["a"]) == demo_image.archive(b"p", ["a"])


def test_static_programs_are_told_from_others(tmp_path: Path) -> None:
    assert not demo_image.is_static(b"#!/bin/sh\n")
    assert not demo_image.is_static(Path("/bin/ls").read_bytes())
    (tmp_path / "busybox").write_bytes(b"\x7fELF\x02\x01" + b"\0" * 58)
    assert demo_image.find_busybox([tmp_path / "none", tmp_path / "busybox"]) == tmp_path / "busybox"
    with pytest.raises(CliError, match="install the Debian package busybox-static"):
        demo_image.find_busybox([Path("/bin/ls")])
