"""Dockerfiles that mean harm: each is refused, or read within bounds; nothing of the node's disk is a base."""

import tracemalloc

import pytest
from hypothesis import HealthCheck, given, settings
from tests.hostile.builds import DOCKERFILES, NOT_BUILT

from seaway_docker.dockerfile_stages import check_source, outline, resolved
from seaway_docker.errors import InvalidParameter

_PLATFORM = {"TARGETPLATFORM": "linux/amd64"}


@settings(deadline=None, max_examples=400, suppress_health_check=[HealthCheck.too_slow])
@given(DOCKERFILES)
def test_any_dockerfile_is_read_or_refused(text: str) -> None:
    try:
        found = outline(text, {"A": "b"}, platform=_PLATFORM)
    except InvalidParameter as error:
        assert len(str(error)) < 1000
        return
    for base in found.bases:
        check_source(base)
    if not found.refused:
        assert len(resolved(text, found)) < 2 * len(text) + 1000


@pytest.mark.parametrize("number", NOT_BUILT)
def test_known_forms_end_in_bounds(number: int) -> None:
    try:
        found = outline(NOT_BUILT[number], {}, platform=_PLATFORM)
    except InvalidParameter as error:
        assert len(str(error)) < 1000
        return
    for base in found.bases:
        check_source(base)


def test_a_line_of_flags_is_read_once() -> None:
    """A line may be 1 MB long: work that grows with its square would keep the node busy for minutes."""
    with pytest.raises(InvalidParameter, match="unknown flag: a"):
        outline("FROM scratch\nRUN " + "--a " * 250_000 + "\n", {}, platform=_PLATFORM)


def test_stages_share_the_arguments_before_them() -> None:
    text = "ARG " + " ".join(f"a{n}=1" for n in range(4000)) + "\n" + "FROM scratch\n" * 400
    tracemalloc.start()
    try:
        outline(text, {}, platform=_PLATFORM)
        assert tracemalloc.get_traced_memory()[1] < 16 << 20
    finally:
        tracemalloc.stop()


def test_arguments_that_repeat_a_long_one_are_bounded() -> None:
    text = "ARG a=" + "x" * 60_000 + "\nARG " + " ".join(f"b{n}=$a." for n in range(1000)) + "\nFROM scratch\n"
    with pytest.raises(InvalidParameter, match="arguments come to more than"):
        outline(text, {}, platform=_PLATFORM)


def test_a_stage_sees_its_own_arguments_first() -> None:
    text = "ARG base=one\nFROM scratch AS one\nARG base=two\nCOPY --from=$base / /\nFROM $base\nCOPY --from=$base / /\n"
    assert outline(text, {}, platform=_PLATFORM).bases == ("two",)
