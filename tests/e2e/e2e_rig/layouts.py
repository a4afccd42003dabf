"""OCI image layouts with one manifest, as skopeo reads them (`oci:DIRECTORY`)."""

import gzip
import hashlib
import json
from pathlib import Path

from e2e_rig import images

MANIFEST = "application/vnd.oci.image.manifest.v1+json"
LAYER = "application/vnd.oci.image.layer.v1.tar"


class Layout:
    """The layout at `place`, which is made."""

    def __init__(self, place: Path) -> None:
        self.place = place
        (place / "blobs" / "sha256").mkdir(parents=True)
        (place / "oci-layout").write_text('{"imageLayoutVersion": "1.0.0"}')

    def add(self, data: bytes, media_type: str) -> dict[str, object]:
        """A blob; its descriptor."""
        digest = hashlib.sha256(data).hexdigest()
        (self.place / "blobs" / "sha256" / digest).write_bytes(data)
        return {"mediaType": media_type, "digest": f"sha256:{digest}", "size": len(data)}

    def image(self, contents: list[bytes]) -> None:
        """An image of layers with one file each."""
        tars = []
        for content in contents:
            layer = images.Layer()
            layer.file("file", content)
            tars.append(layer.bytes())
        layers = [self.add(gzip.compress(tar, 0), f"{LAYER}+gzip") for tar in tars]
        ids = [f"sha256:{hashlib.sha256(tar).hexdigest()}" for tar in tars]
        document = {"architecture": "amd64", "os": "linux", "rootfs": {"type": "layers", "diff_ids": ids}}
        config = self.add(json.dumps(document).encode(), "application/vnd.oci.image.config.v1+json")
        self._entry({"schemaVersion": 2, "mediaType": MANIFEST, "config": config, "layers": layers})

    def artifact(self, kind: str, layer: dict[str, object], about: bytes) -> None:
        """What is of that kind, and about another manifest."""
        config = self.add(b"{}", "application/vnd.oci.empty.v1+json")
        digest = f"sha256:{hashlib.sha256(about).hexdigest()}"
        subject = {"mediaType": json.loads(about)["mediaType"], "digest": digest, "size": len(about)}
        manifest = {"schemaVersion": 2, "mediaType": MANIFEST, "artifactType": kind, "config": config}
        manifest |= {"layers": [layer], "subject": subject}
        self._entry(manifest)

    def _entry(self, manifest: dict[str, object]) -> None:
        entry = self.add(json.dumps(manifest).encode(), MANIFEST)
        (self.place / "index.json").write_text(json.dumps({"schemaVersion": 2, "manifests": [entry]}))
