"""Errors at `/v2/` in the distribution spec's form (OCI distribution spec 1.1, "Error Codes"). Pure."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from seaway_contracts.errors import Code, SeawayError


@dataclass(eq=False)
class SpecError(Exception):
    """An answer other than success: HTTP status, the spec's code, and a sentence."""

    status: int
    code: str
    message: str
    headers: Mapping[str, str] = field(default_factory=dict)


_BLOB: Final = {Code.NOT_FOUND: "BLOB_UNKNOWN", Code.BAD_REQUEST: "DIGEST_INVALID"}
_UPLOAD: Final = {Code.NOT_FOUND: "BLOB_UPLOAD_UNKNOWN", Code.BAD_REQUEST: "BLOB_UPLOAD_INVALID"}
_MANIFEST: Final = {Code.NOT_FOUND: "MANIFEST_UNKNOWN", Code.BAD_REQUEST: "MANIFEST_INVALID"}
_ALL: Final = {
    Code.NOT_FOUND: "NAME_UNKNOWN",
    Code.BAD_REQUEST: "UNSUPPORTED",
    Code.TOO_LARGE: "SIZE_INVALID",
    Code.UNAUTHORIZED: "UNAUTHORIZED",
    Code.FORBIDDEN: "DENIED",
}


def spec_error(error: SeawayError, path: str) -> SpecError:
    """The suite's error as the spec's, for a request of this path."""
    special = _UPLOAD if "/blobs/uploads" in path else _BLOB if "/blobs/" in path else {}
    special = _MANIFEST if not special and "/manifests/" in path else special
    code = special.get(error.code) or _ALL.get(error.code) or error.code.upper()
    return SpecError(error.status, code, error.message)


def error_body(code: str, message: str) -> dict[str, Any]:
    """The body: both in the spec's form and in the suite's."""
    return {"errors": [{"code": code, "message": message}], "message": message}
