"""What a registry's refusals mean, and Docker's words for them. Pure."""

from dataclasses import dataclass
from typing import Any, Final

from seaway_contracts.errors import Code, SeawayError
from seaway_docker.references import Reference
from seaway_image.oci.documents import parse_json

_BODY: Final = 64 << 10
_TEXT: Final = 500
_DEFAULTS: Final = {
    "UNAUTHORIZED": "authentication required",
    "DENIED": "requested access to the resource is denied",
    "MANIFEST_UNKNOWN": "manifest unknown",
    "NAME_UNKNOWN": "repository name not known to registry",
    "BLOB_UNKNOWN": "blob unknown to registry",
    "TOOMANYREQUESTS": "too many requests",
}
_BY_STATUS: Final = {401: "UNAUTHORIZED", 403: "DENIED", 429: "TOOMANYREQUESTS"}


@dataclass(eq=False)
class Refusal(Exception):
    """A registry's answer other than success. `code` is the distribution spec's, empty where it gave none."""

    status: int
    code: str
    message: str
    retry_after_s: float | None = None
    bare: bool = False
    """Whether the registry has said nothing but the code: neither a sentence of its own nor details."""

    def __str__(self) -> str:
        if not self.code:
            return self.message
        return f"{self.words}: {self.message}"

    @property
    def words(self) -> str:
        """The code as Docker writes it."""
        return self.code.lower().replace("_", " ")

    @property
    def transient(self) -> bool:
        """Whether the same request may succeed a little later."""
        return self.status == 429 or self.status >= 500


def parse_refusal(status: int, reason: str, body: bytes, retry_after: str = "") -> Refusal:
    """The refusal in a response: the first of its `errors`, or what its status says."""
    wait = float(retry_after) if retry_after.isdigit() else None
    code, message, detailed = _first_error(body[:_BODY])
    if not code and status in _BY_STATUS:
        code = _BY_STATUS[status]
    if not code:
        return Refusal(status, "", f"received unexpected HTTP status: {status} {reason}".rstrip(), wait)
    said = message or _DEFAULTS.get(code, reason or "refused")
    return Refusal(status, code, said, wait, bare=not detailed and message == _DEFAULTS.get(code))


def _first_error(body: bytes) -> tuple[str, str, bool]:
    """Code, sentence, and whether there are details."""
    try:
        document = parse_json(body, "registry error")
    except SeawayError:
        return "", "", False
    errors: Any = document.get("errors") if isinstance(document, dict) else None
    first = errors[0] if isinstance(errors, list) and errors else None
    if not isinstance(first, dict):
        return "", "", False
    code, message = first.get("code"), first.get("message")
    clean = "".join(sign for sign in str(message or "") if sign.isprintable())
    return (
        (str(code)[:64] if isinstance(code, str) and code.isascii() and code.isprintable() else ""),
        clean[:_TEXT],
        bool(first.get("detail")),
    )


class Unauthorized(SeawayError):
    """A registry's refusal of credentials. The status is 500, as Docker's: at 401 its command asks for a password."""

    def __init__(self, message: str) -> None:
        super().__init__(Code.INTERNAL, message)


def denied() -> Refusal:
    """What a token that is good, but not for this repository, comes to."""
    return Refusal(401, "DENIED", _DEFAULTS["DENIED"])


def docker_error(refusal: Refusal, repository: Reference, reference: str = "") -> SeawayError:
    """The refusal of a pull in Docker's words; `reference` is the tag or digest that was asked for."""
    name = repository.familiar_name
    if refusal.bare and refusal.code == "DENIED":
        return SeawayError(Code.INTERNAL, refusal.words)
    if refusal.code == "DENIED":
        text = f"pull access denied for {name}, repository does not exist or may require 'docker login': {refusal}"
        return SeawayError(Code.NOT_FOUND, text)
    if refusal.code == "MANIFEST_UNKNOWN" or (refusal.status == 404 and not refusal.code):
        told = refusal if refusal.code else Refusal(404, "MANIFEST_UNKNOWN", _DEFAULTS["MANIFEST_UNKNOWN"])
        joint = "@" if reference.startswith("sha256:") else ":"
        return SeawayError(Code.NOT_FOUND, f"manifest for {name}{joint}{reference} not found: {told}")
    if refusal.code == "NAME_UNKNOWN":
        return SeawayError(Code.NOT_FOUND, f"repository {name} not found: {refusal}")
    if refusal.code == "UNAUTHORIZED":
        return Unauthorized(str(refusal))
    return SeawayError(Code.UNAVAILABLE if refusal.transient else Code.INTERNAL, str(refusal))


def push_error(refusal: Refusal) -> SeawayError:
    """The refusal of a push in Docker's words."""
    text = refusal.words if refusal.bare else str(refusal)
    return SeawayError(Code.UNAVAILABLE if refusal.transient else Code.INTERNAL, text)
