"""Random archives of a few names and all kinds of entries: contained, no foreign error, no leak, all or nothing."""

import hashlib
import io
import os
import shutil
import tarfile
import tempfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from seaway_agent.rootfs.errors import LayerRejected, LayerTooLarge
from seaway_agent.rootfs.limits import Limits
from seaway_agent.rootfs.unpack import unpack_layer
from seaway_contracts.images import Layer

pytestmark = pytest.mark.root

PARTS = st.sampled_from(["a", "b", "c", "..", ".", "", "outside", ".wh.a", ".wh.b", ".wh..wh..opq"])
NAMES = st.lists(PARTS, min_size=1, max_size=4).map("/".join)
TARGETS = st.one_of(NAMES, st.sampled_from(["/", "OUTSIDE", "OUTSIDE/victim", "../outside", "../outside/victim", "."]))
KINDS = st.sampled_from([tarfile.REGTYPE, tarfile.DIRTYPE, tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.FIFOTYPE])
ENTRIES = st.lists(st.tuples(KINDS, NAMES, TARGETS), min_size=1, max_size=12)


def build(entries: list[tuple[bytes, str, str]], outside: Path) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as tar:
        for kind, name, target in entries:
            info = tarfile.TarInfo(name)
            info.type, info.mode, info.mtime = kind, 0o777, 1
            info.linkname = target.replace("OUTSIDE", str(outside))
            info.size = 4 if kind == tarfile.REGTYPE else 0
            tar.addfile(info, io.BytesIO(b"evil"))
    return out.getvalue()


def snapshot(path: Path) -> list[tuple[int, int, int, int, int]]:
    statuses = [path.lstat(), *(entry.lstat() for entry in sorted(path.iterdir()))]
    return [(s.st_ino, s.st_mode, s.st_nlink, s.st_mtime_ns, s.st_size) for s in statuses]


@settings(max_examples=200)
@given(ENTRIES)
def test_random_archives(entries: list[tuple[bytes, str, str]]) -> None:
    top = Path(tempfile.mkdtemp())
    try:
        outside, root = top / "outside", top / "root"
        outside.mkdir()
        root.mkdir()
        (outside / "victim").write_text("untouched")
        before, fds = snapshot(outside), len(os.listdir("/proc/self/fd"))
        content = build(entries, outside)
        digest = f"sha256:{hashlib.sha256(content).hexdigest()}"
        layer = Layer(digest=digest, size=len(content), media_type="", diff_id=digest)
        try:
            unpack_layer(io.BytesIO(content).read, root, layer, Limits())
        except (LayerRejected, LayerTooLarge):
            assert os.listdir(root) == []
        assert snapshot(outside) == before
        assert sorted(os.listdir(top)) == ["outside", "root"]
        assert len(os.listdir("/proc/self/fd")) <= fds  # other tests' may be collected meanwhile
    finally:
        shutil.rmtree(top)
