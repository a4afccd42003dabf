"""Lists of CPUs."""

import pytest

from seaway_docker.cpusets import parse_cpuset
from seaway_docker.errors import InvalidParameter


@pytest.mark.parametrize(
    ("text", "found"),
    [("", set()), ("0", {0}), ("0-2,7", {0, 1, 2, 7}), ("3,1-3", {1, 2, 3}), ("8192", {8192}), ("5-5", {5})],
)
def test_lists(text: str, found: set[int]) -> None:
    assert parse_cpuset(text) == found


@pytest.mark.parametrize("text", ["a", ",", "1,,2", "3-1", "-1", "1-", "1-2-3", "٣", " 1", "9" * 30])
def test_no_lists(text: str) -> None:
    with pytest.raises(InvalidParameter) as refused:
        parse_cpuset(text)
    assert str(refused.value) == f"invalid format: {text}"


def test_what_no_machine_has() -> None:
    with pytest.raises(InvalidParameter, match="value of out range, maximum is 8192"):
        parse_cpuset("0-99999999")
