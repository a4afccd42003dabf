"""What a remote context's name means: a git repository or an address (moby, builder/remotecontext). Pure."""

import re
from dataclasses import dataclass
from typing import Final

from seaway_contracts.errors import bad_request

DEFAULT_NAME: Final = "Dockerfile"
_GIT_ADDRESS: Final = re.compile(r"https?://[^#]*\.git(?:#.*)?")
_GIT_PREFIXES: Final = ("git://", "github.com/", "git@")
_TEXTS: Final = frozenset(("text/plain",))
_REF: Final = re.compile(r"[\w./+@~^-]{0,255}")


@dataclass(frozen=True)
class GitSource:
    """`https://host/x.git#ref:directory`."""

    url: str
    ref: str = ""
    directory: str = ""


def is_git(remote: str) -> bool:
    """Whether it names a git repository."""
    return remote.startswith(_GIT_PREFIXES) or _GIT_ADDRESS.fullmatch(remote) is not None


def is_url(remote: str) -> bool:
    """Whether it is an address to download from."""
    return remote.startswith(("http://", "https://"))


def git_source(remote: str) -> GitSource:
    """Its parts. Raises SeawayError for what git must not be given."""
    if remote.startswith("git@"):
        raise bad_request("git over ssh is not supported, as it would use the node's own keys: give an https address")
    address, _, fragment = remote.partition("#")
    ref, _, directory = fragment.partition(":")
    if ref.startswith("-") or not _REF.fullmatch(ref):
        raise bad_request(f"invalid refspec: {ref[:100]}")
    return GitSource(f"https://{address}" if address.startswith("github.com/") else address, ref, directory)


def is_text(kind: str, beginning: bytes) -> bool:
    """Whether a download is a Dockerfile and no tar: by its type, or where that says nothing, by its bytes."""
    if kind in _TEXTS:
        return True
    if "tar" in kind or "zip" in kind or "xz" in kind:
        return False
    return (
        bool(beginning)
        and b"\0" not in beginning
        and not beginning.startswith((b"\x1f\x8b", b"BZh", b"\xfd7zXZ", b"\x28\xb5\x2f\xfd"))
    )
