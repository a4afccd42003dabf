"""Which runtime a container gets, and how the runtimes differ."""

import pytest

from seaway_agent.runtime.runtimes import Runtimes, global_flags, knows_keyrings, recursive_read_only
from seaway_contracts.errors import Code, SeawayError

RUNTIMES = Runtimes({"crun": "/usr/bin/crun", "runc": "/usr/sbin/runc"}, "crun")


@pytest.mark.parametrize(("asked", "found"), [("", "crun"), ("crun", "crun"), ("runc", "runc")])
def test_by_name_or_the_default(asked: str, found: str) -> None:
    assert RUNTIMES.find(asked) == (found, RUNTIMES.programs[found])


def test_one_that_is_not_installed() -> None:
    with pytest.raises(SeawayError) as refused:
        RUNTIMES.find("runsc")
    assert (refused.value.code, refused.value.message) == (Code.BAD_REQUEST, "unknown or invalid runtime name: runsc")


@pytest.mark.parametrize("name", ["crun", "runc"])
def test_plain_runtimes(name: str) -> None:
    assert (global_flags(name), knows_keyrings(name), recursive_read_only(name)) == ((), True, True)


def test_gvisor_takes_its_flags_with_every_command() -> None:
    assert {"--platform=systrap", "--overlay2=none"} <= set(global_flags("runsc"))
    assert not knows_keyrings("runsc")
    assert not recursive_read_only("runsc")
