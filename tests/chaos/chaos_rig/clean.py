"""What a suite must leave on the machine: nothing more than before."""

import contextlib
import time
from collections.abc import Iterator

import pytest
from e2e_rig import census
from e2e_rig.waits import eventually

from chaos_rig.suite import ChaosSuite

_SETTLED_S = 20.0
_IDLE = 2
_LOOKS = 30
_LOOK_S = 0.2


@contextlib.contextmanager
def leaving_nothing(suite: ChaosSuite) -> Iterator[None]:
    """The suite is whole and empty before and after; what is left behind in between is a leak."""
    suite.whole()
    before = settled(suite)
    yield
    suite.disarm()
    suite.whole()
    suite.api.remove_all()
    found: dict[str, object] = {}

    def clean() -> bool:
        found.clear()
        found.update(census.take(suite).beyond(before, idle=_IDLE))
        return not found

    try:
        eventually(clean, "a clean machine", _SETTLED_S)
    except TimeoutError:
        pytest.fail(f"leaked: {found}", pytrace=False)


def settled(suite: ChaosSuite) -> census.Census:
    """Once nothing comes or goes any more: an agent that was just started still fills its pool of sandboxes."""
    last = census.take(suite)
    for _ in range(_LOOKS):
        time.sleep(_LOOK_S)
        last, before = census.take(suite), last
        if not last.beyond(before) and not before.beyond(last):
            break
    return last
