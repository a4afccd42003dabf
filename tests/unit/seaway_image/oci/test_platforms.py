import pytest

from seaway_contracts.errors import SeawayError
from seaway_image.oci.platforms import Platform, choose, parse_own_platform, parse_platform, satisfies


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("linux", Platform("linux", "amd64")),
        ("linux/amd64", Platform("linux", "amd64")),
        ("linux/x86_64", Platform("linux", "amd64")),
        ("amd64", Platform("linux", "amd64")),
        ("linux/arm64/v8", Platform("linux", "arm64")),
        ("linux/arm", Platform("linux", "arm", "v7")),
        ("linux/arm/6", Platform("linux", "arm", "v6")),
        ("macos", Platform("darwin", "amd64")),
        ("linux/nosuch", Platform("linux", "nosuch")),
    ],
)
def test_platforms_are_read(text: str, wanted: Platform) -> None:
    assert parse_platform(text) == wanted


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", '"" is an invalid component of ""'),
        ("foo", '"foo": unknown operating system or architecture: invalid argument'),
        ("a/b/c/d", '"a/b/c/d": cannot parse platform specifier: invalid argument'),
        ("linux/", "is an invalid component of"),
        ("li nux/amd64", "is an invalid component of"),
        ("linux/amd64/../x", "is an invalid component of"),
    ],
)
def test_malformed_platforms_are_refused(text: str, why: str) -> None:
    with pytest.raises(SeawayError, match=why):
        parse_platform(text)


def test_the_newest_variant_that_runs_is_chosen() -> None:
    offered = [parse_platform("linux/arm/v5"), None, parse_platform("linux/arm/v7"), parse_platform("linux/arm/v6")]
    assert choose(parse_platform("linux/arm/v6"), offered) == 3
    assert choose(parse_platform("linux/arm/v7"), offered) == 2
    assert choose(parse_platform("linux/arm64"), offered) == 2
    assert choose(parse_platform("linux/amd64"), offered) is None


def test_the_first_of_equals_is_chosen() -> None:
    assert choose(Platform(), [None, Platform(), Platform()]) == 1


def test_a_newer_amd64_is_not_taken_for_the_plain_one() -> None:
    assert choose(Platform(), [Platform("linux", "amd64", "v3")]) is None
    assert choose(Platform("linux", "amd64", "v3"), [Platform()]) == 0


def test_what_stands_for_what() -> None:
    assert satisfies(Platform(), Platform())
    assert not satisfies(Platform("linux", "arm64"), Platform())


@pytest.mark.parametrize(("text", "variant"), [("linux/arm64/v8", "v8"), ("linux/arm64", ""), ("linux/arm/7", "v7")])
def test_an_image_s_own_platform(text: str, variant: str) -> None:
    assert parse_own_platform(text).variant == variant
