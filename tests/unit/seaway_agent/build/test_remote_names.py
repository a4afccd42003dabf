"""What a remote context's name means."""

import pytest

from seaway_agent.build.remote_names import GitSource, git_source, is_git, is_text, is_url
from seaway_contracts.errors import SeawayError


@pytest.mark.parametrize(
    ("remote", "git", "url"),
    [
        ("https://h/x.git", True, True), ("https://h/x.git#main:sub", True, True), ("github.com/a/b", True, False),
        ("git://h/x", True, False), ("https://h/x.tar", False, True), ("https://h/x#y.git", False, True),
        ("file:///etc", False, False), ("/etc", False, False), ("ext::sh -c x", False, False),
        ("ftp://h/x", False, False),
    ],
)  # fmt: skip
def test_kinds(remote: str, git: bool, url: bool) -> None:
    assert (is_git(remote), is_url(remote)) == (git, url)


def test_parts_of_a_git_address() -> None:
    assert git_source("https://h/x.git#v1:a/b") == GitSource("https://h/x.git", "v1", "a/b")
    assert git_source("github.com/a/b#:c") == GitSource("https://github.com/a/b", "", "c")


@pytest.mark.parametrize(
    "remote", ["git@h:x", "https://h/x.git#--upload-pack=touch", "https://h/x.git#a b", "git://h#-x"]
)
def test_what_git_does_not_get(remote: str) -> None:
    with pytest.raises(SeawayError):
        git_source(remote)


@pytest.mark.parametrize(
    ("kind", "beginning", "text"),
    [
        ("text/plain", b"\0", True), ("application/x-tar", b"FROM x", False),
        ("application/octet-stream", b"FROM x", True),
        ("application/octet-stream", b"\x1f\x8bx", False),
        ("application/octet-stream", b"a\0", False), ("", b"", False),
    ],
)  # fmt: skip
def test_what_is_a_dockerfile(kind: str, beginning: bytes, text: bool) -> None:
    assert is_text(kind, beginning) is text
