"""What is known of a blob in a registry. Pure."""

from pydantic import BaseModel, ConfigDict

from seaway_image.oci.digests import Digest


class RemoteBlob(BaseModel):
    """A blob in a registry's `repository` (with its domain); `diff_id` is the tar in it, `size` in bytes.

    `compression` is `gzip`, `zstd` or empty.
    """

    model_config = ConfigDict(frozen=True)

    diff_id: Digest
    digest: Digest
    size: int
    compression: str
    repository: str
