"""From which size and ratio on compressed data is refused."""

import pytest

from seaway_contracts.errors import Code, SeawayError
from seaway_kit.expansion import FROM, RATIO, Expansion


def test_up_to_the_size_any_ratio_passes() -> None:
    count = Expansion("layer x")
    count.add(1, FROM)
    with pytest.raises(SeawayError, match=f"layer x expands from 1 to more than {FROM + 1} bytes") as caught:
        count.add(0, 1)
    assert caught.value.code is Code.TOO_LARGE


def test_up_to_the_ratio_any_size_passes() -> None:
    count = Expansion("layer x")
    for _ in range(100):
        count.add(FROM // 4, RATIO * (FROM // 4))
    with pytest.raises(SeawayError, match="200 times"):
        count.add(0, 1)


def test_both_can_be_chosen() -> None:
    count = Expansion("layer x", ratio=10, start=100)
    count.add(2, 100)
    with pytest.raises(SeawayError, match="10 times"):
        count.add(8, 1)
