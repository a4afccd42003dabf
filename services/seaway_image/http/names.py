"""Repository names and references in the paths of `/v2/`. Pure."""

import re
from dataclasses import replace
from typing import Final

from seaway_contracts.errors import SeawayError
from seaway_docker.references import InvalidReference, Reference, parse_reference
from seaway_image.http.spec_errors import SpecError
from seaway_image.oci.digests import Digest, parse_digest

_TAG: Final = re.compile(r"[a-zA-Z0-9_][a-zA-Z0-9._-]{0,127}")
_SHA512: Final = "sha512:"


def repository_of(name: str) -> Reference:
    """The repository that `/v2/<name>/…` names: as in `docker pull <name>`, so `app` is `docker.io/library/app`.

    Raises SpecError(NAME_INVALID).
    """
    try:
        found = parse_reference(name)
    except InvalidReference as error:
        raise SpecError(400, "NAME_INVALID", str(error)) from None
    if found.tag or found.digest:
        raise SpecError(400, "NAME_INVALID", f"{name[:100]!r} is no repository's name: it has a tag or digest")
    return found


def digest_in(text: str) -> Digest:
    """A digest in a path or query; raises SpecError(DIGEST_INVALID)."""
    if text.startswith(_SHA512):
        raise SpecError(400, "DIGEST_INVALID", "sha512 digests are not supported here: use sha256")
    try:
        return parse_digest(text)
    except SeawayError as error:
        raise SpecError(400, "DIGEST_INVALID", error.message) from None


def manifest_in(repository: Reference, text: str) -> Reference:
    """The tag or digest in a path; raises SpecError: DIGEST_INVALID, or MANIFEST_INVALID for what can be no tag."""
    if ":" in text:
        return replace(repository, digest=digest_in(text))
    if _TAG.fullmatch(text) is None:
        raise SpecError(400, "MANIFEST_INVALID", f"{text[:130]!r} is no tag")
    return replace(repository, tag=text)
