"""What the runtimes differ in."""

import pytest

from seaway_agent.runtime.flags import global_flags, knows_keyrings, recursive_read_only


@pytest.mark.parametrize("name", ["crun", "runc"])
def test_plain_runtimes(name: str) -> None:
    assert (global_flags(name), knows_keyrings(name), recursive_read_only(name)) == ((), True, True)


def test_gvisor_takes_its_flags_with_every_command() -> None:
    assert {"--platform=systrap", "--overlay2=none"} <= set(global_flags("runsc"))
    assert not knows_keyrings("runsc")
    assert not recursive_read_only("runsc")
