import pytest
from hypothesis import given
from hypothesis import strategies as st

from seaway_docker.errors import InvalidParameter
from seaway_docker.names import check_volume_name, container_name, generate_name


@pytest.mark.parametrize(("text", "name"), [("ab", "ab"), ("/ab", "ab"), ("A0_.-", "A0_.-")])
def test_good_container_names(text: str, name: str) -> None:
    assert container_name(text) == name


@pytest.mark.parametrize("text", ["", "a", "-a", "a b", "/a/b", "ab/", "é1", "//ab", "ab\n", "*"])
def test_bad_container_names(text: str) -> None:
    with pytest.raises(InvalidParameter) as caught:
        container_name(text)
    assert str(caught.value) == f"Invalid container name ({text}), only [a-zA-Z0-9][a-zA-Z0-9_.-] are allowed"


def test_volume_names() -> None:
    check_volume_name("VOL_1")
    with pytest.raises(InvalidParameter, match=r"^create v: volume name is too short, names should be at least two"):
        check_volume_name("v")
    with pytest.raises(
        InvalidParameter, match=r'^create a/b: "a/b" includes invalid characters for a local volume name'
    ):
        check_volume_name("a/b")


@given(st.integers(min_value=0), st.integers(min_value=0, max_value=99))
def test_generated_names_are_valid(pick: int, attempt: int) -> None:
    assert container_name(generate_name(pick, attempt)) == generate_name(pick, attempt)


def test_generated_names_differ() -> None:
    assert len({generate_name(pick) for pick in range(3600)}) == 3600
    assert generate_name(7, attempt=3) == generate_name(7) + "3"
