"""Image references against what dockerd answers."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from seaway_docker.references import InvalidReference, Reference, is_full_image_id, parse_image_id, parse_reference

DIGEST = "sha256:" + "a" * 64


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("busybox", Reference("docker.io", "library/busybox")),
        ("busybox:1.36", Reference("docker.io", "library/busybox", "1.36")),
        ("user/app", Reference("docker.io", "user/app")),
        ("docker.io/busybox", Reference("docker.io", "library/busybox")),
        ("index.docker.io/busybox", Reference("docker.io", "library/busybox")),
        ("localhost/foo", Reference("localhost", "foo")),
        ("localhost:5000", Reference("docker.io", "library/localhost", "5000")),
        (f"localhost:5000/a/b:tag@{DIGEST}", Reference("localhost:5000", "a/b", "tag", DIGEST)),
        (f"foo@{DIGEST}", Reference("docker.io", "library/foo", None, DIGEST)),
        ("FOO/bar", Reference("FOO", "bar")),
        ("Foo.com/bar", Reference("Foo.com", "bar")),
        ("foo.com:99999/bar", Reference("foo.com:99999", "bar")),
        ("[::1]:5000/foo", Reference("[::1]:5000", "foo")),
        ("foo__bar", Reference("docker.io", "library/foo__bar")),
        ("foo--bar", Reference("docker.io", "library/foo--bar")),
        ("x.io/" + "a" * 252, Reference("x.io", "a" * 252)),
    ],
)
def test_reads_what_docker_reads(text: str, expected: Reference) -> None:
    assert parse_reference(text) == expected


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "invalid reference format"),
        ("Foo", "invalid reference format: repository name (library/Foo) must be lowercase"),
        ("localhost/Foo", "invalid reference format: repository name (Foo) must be lowercase"),
        ("foo@sha256:abc", "invalid reference format"),
        ("foo@md5:" + "a" * 32, "unsupported digest algorithm"),
        ("foo@sha256:" + "a" * 40, "invalid checksum digest length"),
        ("foo@sha256:" + "A" * 64, "invalid checksum digest format"),
        ("a" * 64, f"invalid repository name ({'a' * 64}), cannot specify 64-byte hexadecimal strings"),
        ("a" * 300, "repository name must not be more than 255 characters"),
        ("a" * 100_000, "invalid reference format"),
        *(
            (text, "invalid reference format")
            for text in [
                "foo/",
                "foo//bar",
                "-foo",
                "foo:",
                "foo:-a",
                "foo.com/",
                "http://foo/bar",
                "foo___bar",
                "foo..bar",
                "foo.-bar",
                "foo:a:b",
                "_a",
                "a_",
                "x@y",
                "foo:@",
                "foo\n",
                "foo:latest\n",
                "föö",
                "../etc/passwd",
            ]
        ),
        ("foo bar", "invalid reference format"),
        ("foo:" + "a" * 129, "invalid reference format"),
    ],
)
def test_refuses_with_dockers_sentence(text: str, message: str) -> None:
    with pytest.raises(InvalidReference) as caught:
        parse_reference(text)
    assert str(caught.value) == message


@pytest.mark.parametrize(
    ("text", "familiar", "canonical"),
    [
        ("busybox", "busybox", "docker.io/library/busybox"),
        ("docker.io/library/busybox:1", "busybox:1", "docker.io/library/busybox:1"),
        ("docker.io/user/app:1", "user/app:1", "docker.io/user/app:1"),
        ("docker.io/library/a/b", "library/a/b", "docker.io/library/a/b"),
        ("quay.io/library/x", "quay.io/library/x", "quay.io/library/x"),
        (f"foo:t@{DIGEST}", f"foo:t@{DIGEST}", f"docker.io/library/foo:t@{DIGEST}"),
    ],
)
def test_familiar_and_canonical_forms(text: str, familiar: str, canonical: str) -> None:
    assert parse_reference(text).familiar == familiar
    assert parse_reference(text).canonical == canonical


def test_default_tag_only_where_nothing_is_said() -> None:
    assert parse_reference("busybox").with_default_tag().familiar == "busybox:latest"
    assert parse_reference("busybox:1").with_default_tag().familiar == "busybox:1"
    assert parse_reference(f"busybox@{DIGEST}").with_default_tag().familiar == f"busybox@{DIGEST}"


def test_tag_parameter_takes_a_tag_a_digest_or_nothing() -> None:
    reference = parse_reference("busybox")
    assert reference.with_tag_or_digest("1.36").familiar == "busybox:1.36"
    assert reference.with_tag_or_digest(DIGEST).familiar == f"busybox@{DIGEST}"
    assert reference.with_tag_or_digest("") is reference
    with pytest.raises(InvalidReference, match="invalid tag format"):
        reference.with_tag_or_digest("-x")


@pytest.mark.parametrize(
    ("text", "digits"),
    [
        (DIGEST, "a" * 64),
        ("a" * 64, "a" * 64),
        ("cafe", "cafe"),
        ("sha256:cafe", "cafe"),
        ("caf", None),
        ("CAFE", None),
        ("busybox", None),
        ("a" * 65, None),
        ("cafe\n", None),
    ],
)
def test_image_ids(text: str, digits: str | None) -> None:
    assert parse_image_id(text) == digits


def test_full_ids_are_no_names() -> None:
    assert is_full_image_id(DIGEST) and is_full_image_id("a" * 64)
    assert not is_full_image_id("cafe")


COMPONENT = st.from_regex(r"[a-z0-9]+((\.|_|__|-+)[a-z0-9]+){0,2}", fullmatch=True)
REFERENCES = st.builds(
    Reference,
    st.sampled_from(["docker.io", "quay.io", "localhost", "localhost:5000", "[::1]:80", "REG"]),
    st.lists(COMPONENT, min_size=2, max_size=3).map("/".join),
    st.none() | st.from_regex(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,20}", fullmatch=True),
    st.none() | st.from_regex(r"sha256:[a-f0-9]{64}", fullmatch=True),
)


@given(REFERENCES)
def test_both_forms_read_back_as_the_same_reference(reference: Reference) -> None:
    assert parse_reference(reference.canonical) == reference
    # `docker.io/localhost/x` has no familiar form that reads back; Docker has the same quirk.
    if not reference.path.startswith("localhost/") and "." not in reference.path.split("/")[0]:
        assert parse_reference(reference.familiar) == reference


@given(st.text(max_size=80))
def test_any_text_gives_a_reference_or_a_docker_error(text: str) -> None:
    try:
        reference = parse_reference(text)
    except InvalidReference:
        return
    assert parse_reference(reference.canonical) == reference
