"""The platform that a create asks for."""

import pytest

from seaway_api.translate.platforms import check_platform, foreign_warnings, parse_platform
from seaway_contracts.errors import Code, SeawayError
from seaway_docker.errors import InvalidParameter
from seaway_testing import builders


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("linux/amd64", ("linux", "amd64")),
        ("linux/arm64/v8", ("linux", "arm64")),
        ("Linux/x86_64", ("linux", "amd64")),
        ("aarch64", ("linux", "arm64")),
        ("linux", ("linux", "")),
    ],
)
def test_platforms(text: str, found: tuple[str, str]) -> None:
    assert parse_platform(text) == found


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("foo", '"foo": unknown operating system or architecture: invalid argument'),
        ("a/b/c/d/e", '"d/e" is an invalid component of "a/b/c/d/e"'),
        ("linux/", '"" is an invalid component of "linux/"'),
    ],
)
def test_no_platforms(text: str, reason: str) -> None:
    with pytest.raises(InvalidParameter) as refused:
        parse_platform(text)
    assert reason in str(refused.value)


def test_the_images_own_platform_or_none_is_fine() -> None:
    for text in ("", "linux", "amd64", "linux/amd64"):
        check_platform(text, "busybox", builders.image(1))


def test_another_platform_is_as_if_the_image_were_not_there() -> None:
    with pytest.raises(SeawayError) as refused:
        check_platform("linux/arm64", "busybox", builders.image(1))
    assert (refused.value.code, refused.value.message) == (
        Code.NOT_FOUND,
        "image with reference busybox was found but does not match the specified platform: "
        "wanted linux/arm64, actual: linux/amd64",
    )


@pytest.mark.parametrize(
    ("image", "machine", "words"),
    [
        ({"architecture": "amd64"}, "x86_64", ""),
        ({"architecture": "386"}, "x86_64", ""),
        ({"architecture": "arm", "variant": "v7"}, "aarch64", ""),
        ({"architecture": "arm64"}, "", ""),
        ({"architecture": ""}, "x86_64", ""),
        ({"architecture": "arm64", "variant": "v8"}, "x86_64", "(linux/arm64/v8) does not match * (linux/amd64)"),
        ({"architecture": "amd64"}, "aarch64", "(linux/amd64) does not match * (linux/arm64/v8)"),
        ({"os": "windows", "architecture": "amd64"}, "x86_64", "(windows/amd64) does not match * (linux/amd64)"),
    ],
)
def test_an_image_for_another_machine_is_warned_of(image: dict[str, str], machine: str, words: str) -> None:
    said = foreign_warnings(builders.image(**image), "linux", machine)
    told = words.replace("*", "the detected host platform")
    whole = f"The requested image's platform {told} and no specific platform was requested"
    assert said == ([whole] if words else [])
