"""POST /images/load: OCI layouts beside Docker's own form, images of another system, and what is no archive."""

import hashlib
import json
from typing import Any, Final

from e2e_rig import images

from differ.steps import Case, Request, Step, case, get
from seaway_testing.packing import tar_of

_OCI: Final = "application/vnd.oci.image"
_KIND: Final = {"Content-Type": "application/x-tar"}


def _digest(data: bytes) -> str:
    return "sha256:" + hashlib.sha256(data).hexdigest()


def _layout(*, wrong: int = 0, **fields: Any) -> bytes:
    """An OCI layout with `manifest.json` beside it; `fields` of its manifest change (None: it lacks them)."""
    layer = tar_of({"file": b"text"})
    config = json.dumps(
        {
            "architecture": "amd64",
            "os": "linux",
            "config": {},
            "rootfs": {"type": "layers", "diff_ids": [_digest(layer)]},
        }
    ).encode()
    document = {
        "schemaVersion": 2,
        "config": {"mediaType": f"{_OCI}.config.v1+json", "digest": _digest(config), "size": len(config)},
        "layers": [{"mediaType": f"{_OCI}.layer.v1.tar", "digest": _digest(layer), "size": len(layer)}],
    } | fields
    manifest = json.dumps({key: value for key, value in document.items() if value is not None}).encode()
    entry = {"mediaType": f"{_OCI}.manifest.v1+json", "digest": _digest(manifest), "size": len(manifest) + wrong}
    blobs = {f"blobs/sha256/{_digest(blob)[7:]}": blob for blob in (config, layer, manifest)}
    first, second, _ = blobs
    beside = [{"Config": first, "RepoTags": ["laid:1"], "Layers": [second]}]
    return tar_of(
        blobs
        | {
            "oci-layout": b'{"imageLayoutVersion": "1.0.0"}',
            "index.json": json.dumps({"schemaVersion": 2, "manifests": [entry]}).encode(),
            "manifest.json": json.dumps(beside).encode(),
        }
    )


def _load(data: bytes) -> Step:
    return Request("POST", "/images/load?quiet=1", data, headers=_KIND, as_="lines")


def _loaded(name: str, data: bytes) -> Case:
    return case(name, _load(data), get("/images/laid:1/json", at="Id"))


def _foreign(system: str) -> bytes:
    return images.archive([images.busybox_layer()], {"Cmd": ["sh"]}, ["laid:1"], system)


CASES: Final[tuple[Case, ...]] = (
    _loaded("a layout", _layout()),
    _loaded("a manifest without a schema version", _layout(schemaVersion=None)),
    _loaded("an index with a wrong size", _layout(wrong=1)),
    _loaded("an image of Windows", _foreign("windows")),
    _loaded("an image of FreeBSD", _foreign("freebsd")),
    case("an empty archive", _load(tar_of({}))),
    case("nothing", _load(b"")),
    case("a part of an archive", _load(_layout()[:700])),
    case("what is no archive", _load(b"nonsense" * 200)),
    case("an archive of something else", _load(tar_of({"file": b"text"}))),
)
