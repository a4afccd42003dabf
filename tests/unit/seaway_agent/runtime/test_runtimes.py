"""Which runtime a container gets."""

import pytest

from seaway_agent.runtime.runtimes import Runtimes
from seaway_contracts.errors import Code, SeawayError

RUNTIMES = Runtimes({"crun": "/usr/bin/crun", "runc": "/usr/sbin/runc"}, "crun")


@pytest.mark.parametrize(("asked", "found"), [("", "crun"), ("crun", "crun"), ("runc", "runc")])
def test_by_name_or_the_default(asked: str, found: str) -> None:
    assert RUNTIMES.find(asked) == (found, RUNTIMES.programs[found])


def test_one_that_is_not_installed() -> None:
    with pytest.raises(SeawayError) as refused:
        RUNTIMES.find("runsc")
    assert (refused.value.code, refused.value.message) == (Code.BAD_REQUEST, "unknown or invalid runtime name: runsc")
