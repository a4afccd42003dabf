"""Image references as distribution/reference reads them: `busybox`, `localhost:5000/a/b:tag@sha256:…`, image ids."""

import re
from dataclasses import dataclass, replace

from seaway_docker.errors import InvalidParameter

DEFAULT_DOMAIN = "docker.io"
DEFAULT_TAG = "latest"
_LEGACY_DOMAIN = "index.docker.io"
_OFFICIAL_PREFIX = "library/"
_MAX_NAME_LENGTH = 255

_DOMAIN_PART = r"[a-zA-Z0-9](?:[a-zA-Z0-9-]*[a-zA-Z0-9])?"
_DOMAIN = rf"(?:{_DOMAIN_PART}(?:\.{_DOMAIN_PART})*|\[[a-fA-F0-9:]+\])(?::[0-9]+)?"
_PATH_PART = r"[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*"
_TAG = r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}"
_DIGEST = r"[A-Za-z][A-Za-z0-9]*(?:[-_+.][A-Za-z][A-Za-z0-9]*)*:[0-9a-fA-F]{32,}"
_REFERENCE = re.compile(
    rf"(?P<domain>{_DOMAIN})/(?P<path>{_PATH_PART}(?:/{_PATH_PART})*)(?::(?P<tag>{_TAG}))?(?:@(?P<digest>{_DIGEST}))?"
)
_TAG_ONLY = re.compile(_TAG)
_FULL_HEX = re.compile(r"[a-f0-9]{64}")
_IMAGE_ID = re.compile(r"(?:sha256:)?([a-f0-9]{4,64})")
_DIGEST_LENGTHS = {"sha256": 64, "sha384": 96, "sha512": 128}
_LONGEST_INPUT = 4096


class InvalidReference(InvalidParameter):
    """A reference that Docker refuses; the text is Docker's."""


@dataclass(frozen=True, slots=True)
class Reference:
    """A repository on a registry, with a tag, a digest, both or neither. `domain` is never empty."""

    domain: str
    path: str
    tag: str | None = None
    digest: str | None = None

    @property
    def name(self) -> str:
        """`docker.io/library/busybox`"""
        return f"{self.domain}/{self.path}"

    @property
    def familiar_name(self) -> str:
        """The name as users write it: `busybox`, `user/app`, `quay.io/a/b`."""
        if self.domain != DEFAULT_DOMAIN:
            return self.name
        rest = self.path.removeprefix(_OFFICIAL_PREFIX)
        return self.path if "/" in rest else rest

    @property
    def familiar(self) -> str:
        """`busybox:1.36`"""
        return self.familiar_name + self._suffix

    @property
    def canonical(self) -> str:
        """`docker.io/library/busybox:1.36`"""
        return self.name + self._suffix

    @property
    def _suffix(self) -> str:
        return (f":{self.tag}" if self.tag else "") + (f"@{self.digest}" if self.digest else "")

    def with_default_tag(self) -> "Reference":
        """`latest` is added only where neither tag nor digest stands."""
        return self if self.tag or self.digest else replace(self, tag=DEFAULT_TAG)

    def with_tag_or_digest(self, text: str) -> "Reference":
        """The `tag` query parameter of pull and push, which may hold a digest; empty leaves the reference."""
        if not text:
            return self
        if _is_digest(text):
            return replace(self, tag=None, digest=text)
        return self.with_tag(text)

    def with_tag(self, text: str) -> "Reference":
        """The same where only a tag may stand: of tag, commit and import. Raises InvalidReference."""
        if text and _TAG_ONLY.fullmatch(text) is None:
            raise InvalidReference("invalid tag format")
        return replace(self, tag=text) if text else self


def parse_reference(text: str) -> Reference:
    """Read a reference; a missing domain is docker.io. Raises InvalidReference with Docker's sentence."""
    if _FULL_HEX.fullmatch(text):
        raise InvalidReference(f"invalid repository name ({text}), cannot specify 64-byte hexadecimal strings")
    if len(text) > _LONGEST_INPUT:
        raise InvalidReference("invalid reference format")
    domain, remainder = _split_domain(text)
    repository = remainder.partition(":")[0]
    if repository.lower() != repository:
        raise InvalidReference(f"invalid reference format: repository name ({repository}) must be lowercase")
    found = _REFERENCE.fullmatch(f"{domain}/{remainder}")
    if found is None:
        raise InvalidReference("invalid reference format")
    return _checked(Reference(found["domain"], found["path"], found["tag"], found["digest"]))


def parse_image_id(text: str) -> str | None:
    """The hex digits of `sha256:…`, of a full or of a short id (4 to 64 digits), or None.

    `cafe` is both a short id and a name: a name that exists goes first, as in Docker.
    """
    found = _IMAGE_ID.fullmatch(text)
    return found[1] if found else None


def is_full_image_id(text: str) -> bool:
    """Whether the text can only be an id (64 digits, or written with its algorithm), never a name."""
    return _FULL_HEX.fullmatch(text) is not None or text.startswith("sha256:")


def check_digest(text: str) -> None:
    """Raise InvalidReference unless the text is a digest of an algorithm that Docker knows (go-digest)."""
    algorithm, colon, encoded = text.partition(":")
    if not colon or not encoded:
        raise InvalidReference("invalid checksum digest format")
    if algorithm not in _DIGEST_LENGTHS:
        raise InvalidReference("unsupported digest algorithm")
    if len(encoded) != _DIGEST_LENGTHS[algorithm]:
        raise InvalidReference("invalid checksum digest length")
    if re.fullmatch(r"[a-f0-9]+", encoded) is None:
        raise InvalidReference("invalid checksum digest format")


def _is_digest(text: str) -> bool:
    try:
        check_digest(text)
    except InvalidReference:
        return False
    return True


def _split_domain(text: str) -> tuple[str, str]:
    """A first component is a domain if it has a dot, a port or an upper-case letter, or is `localhost`."""
    head, slash, rest = text.partition("/")
    is_domain = bool(slash) and ("." in head or ":" in head or head == "localhost" or head.lower() != head)
    domain, remainder = (head, rest) if is_domain else (DEFAULT_DOMAIN, text)
    if domain == _LEGACY_DOMAIN:
        domain = DEFAULT_DOMAIN
    if domain == DEFAULT_DOMAIN and "/" not in remainder:
        remainder = _OFFICIAL_PREFIX + remainder
    return domain, remainder


def _checked(reference: Reference) -> Reference:
    if len(reference.path) > _MAX_NAME_LENGTH:
        raise InvalidReference(f"repository name must not be more than {_MAX_NAME_LENGTH} characters")
    if reference.digest is not None:
        check_digest(reference.digest)
    return reference
