"""Archives for `docker load` and `import` that mean harm, drawn by hypothesis: names, links, kinds, documents."""

import hashlib
import io
import json
import tarfile
from typing import Any

from hypothesis import strategies as st

_PARTS = st.sampled_from(
    ["..", ".", "", "a", "blobs", "sha256", "layer.tar", "x" * 300, "é\udc80", "con\n", "manifest.json"]
)
_WELL_KNOWN = st.sampled_from(["manifest.json", "index.json", "repositories", "oci-layout", "c.json", "l/layer.tar"])
_PATHS = st.lists(_PARTS, min_size=1, max_size=5).map("/".join)
NAMES = st.one_of(_WELL_KNOWN, _PATHS, _PATHS.map(lambda path: f"/{path}"), st.just("../" * 20 + "etc/passwd"))
_KINDS = st.sampled_from(
    [
        tarfile.REGTYPE,
        tarfile.SYMTYPE,
        tarfile.LNKTYPE,
        tarfile.DIRTYPE,
        tarfile.CHRTYPE,
        tarfile.BLKTYPE,
        tarfile.FIFOTYPE,
    ]
)


def _digest(data: bytes) -> str:
    return "sha256:" + hashlib.sha256(data).hexdigest()


_DIGESTS = st.one_of(
    st.binary(max_size=4).map(_digest),
    st.sampled_from(["sha256:../../x", "md5:0", "sha256:", "", "sha256:" + "A" * 64, "sha512:" + "0" * 128]),
)
_SCALARS = st.one_of(st.none(), st.booleans(), st.integers(), st.text(max_size=8), _DIGESTS, NAMES)
_JSON = st.recursive(
    _SCALARS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)
_CONFIGS = st.fixed_dictionaries(
    {},
    optional={
        "os": st.sampled_from(["linux", "windows", "", 7]),
        "architecture": _SCALARS,
        "rootfs": st.fixed_dictionaries({"diff_ids": st.lists(_DIGESTS, max_size=3) | _JSON}),
        "history": _JSON,
        "config": st.dictionaries(st.sampled_from(["Env", "Cmd", "User", "Volumes", "Labels", "Healthcheck"]), _JSON),
        "created": _SCALARS,
    },
)
_ENTRIES = st.fixed_dictionaries(
    {},
    optional={
        "Config": NAMES | _JSON,
        "Layers": st.lists(NAMES, max_size=3) | _JSON,
        "RepoTags": st.lists(st.text(max_size=8) | st.just("a:1"), max_size=3) | _JSON,
        "Parent": _DIGESTS,
    },
)
_DESCRIPTORS = st.fixed_dictionaries(
    {"digest": _DIGESTS, "size": st.integers(-2, 1 << 66), "mediaType": st.text(max_size=4)},
    optional={"platform": _JSON},
)
_INDEXES = st.fixed_dictionaries({"schemaVersion": st.just(2)}, optional={"manifests": st.lists(_DESCRIPTORS) | _JSON})
_NESTED = st.integers(1, 3000).map(lambda depth: "[" * depth + "]" * depth)
DOCUMENTS = st.one_of(
    st.lists(_ENTRIES, max_size=3).map(json.dumps),
    *(made.map(json.dumps) for made in (_CONFIGS, _INDEXES, _JSON)),
    _NESTED,
    st.just('{"a":1,"a":2}'),
).map(lambda text: text.encode("utf-8", "surrogatepass"))
_CONTENTS = st.one_of(DOCUMENTS, st.binary(max_size=600), st.just(bytes(1024)))


@st.composite
def archives(draw: st.DrawFn) -> bytes:
    """A tar of such entries; some are cut off, some have bytes changed."""
    buffer = io.BytesIO()
    with tarfile.open(
        fileobj=buffer, mode="w", format=draw(st.sampled_from([tarfile.GNU_FORMAT, tarfile.PAX_FORMAT]))
    ) as tar:
        for _ in range(draw(st.integers(0, 6))):
            _add(draw, tar)
    data = bytearray(buffer.getvalue())
    if data and draw(st.booleans()):
        data[draw(st.integers(0, len(data) - 1))] ^= draw(st.integers(1, 255))
    return bytes(data[: draw(st.integers(0, len(data)))] if draw(st.integers(0, 3)) == 0 else data)


def _add(draw: st.DrawFn, tar: tarfile.TarFile) -> None:
    info = tarfile.TarInfo(draw(NAMES))
    info.type, data = draw(_KINDS), draw(_CONTENTS)
    info.linkname = draw(NAMES) if info.type in (tarfile.SYMTYPE, tarfile.LNKTYPE) else ""
    info.size = len(data) if info.type == tarfile.REGTYPE else 0
    info.devmajor = info.devminor = draw(st.integers(0, 9))
    tar.addfile(info, io.BytesIO(data) if info.size else None)


def circle_of_links(names: int = 20) -> bytes:
    """`manifest.json` is a link that leads round in a circle."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        for number in range(names):
            info = tarfile.TarInfo("manifest.json" if not number else f"l{number}")
            info.type, info.linkname = tarfile.SYMTYPE, f"l{number + 1}" if number + 1 < names else "manifest.json"
            tar.addfile(info)
    return buffer.getvalue()


def any_json() -> st.SearchStrategy[Any]:
    """Any JSON value, of odd texts and numbers."""
    return _JSON
