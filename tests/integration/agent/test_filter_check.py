"""An agent whose runtime loads no seccomp filter starts no container that is to have one."""

import os
import shutil
import signal
from pathlib import Path

import pytest
from tests.conformance.runtime.unfiltered import unfiltered
from tests.integration.agent.rig import AgentRig

from seaway_contracts.containers import Security, State
from seaway_contracts.errors import SeawayError

pytestmark = pytest.mark.root


@pytest.mark.parametrize("no_new_privileges", [False, True])
async def test_a_start_without_the_filter_fails_and_is_undone(
    rig: AgentRig, tmp_path: Path, no_new_privileges: bool
) -> None:
    security = Security(no_new_privileges=no_new_privileges)
    container = await rig.create(rig.spec("sleep", "1000", security=security))
    await with_path(rig, without_filters(tmp_path))
    with pytest.raises(SeawayError, match="the runtime crun gave the container no seccomp filter, so it must not run"):
        await rig.start_container(container)
    status = (await rig.inventory(container))[container].status
    assert (status.state, status.pid, status.exit_code) == (State.CREATED, 0, 128)
    assert "no seccomp filter" in status.error
    assert "start" not in rig.told(container)
    await rig.until(lambda: not rig.shims())
    await with_path(rig, os.environ["PATH"])
    await rig.start_container(container)
    status = (await rig.inventory(container))[container].status
    assert "\nSeccomp:\t2\n" in Path(f"/proc/{status.pid}/status").read_text()


def without_filters(directory: Path) -> str:
    """A PATH on which crun loads no filters."""
    real = shutil.which("crun")
    assert real is not None
    (place := directory / "bin").mkdir()
    unfiltered(place, real)
    return f"{place}:{os.environ['PATH']}"


async def with_path(rig: AgentRig, path: str) -> None:
    rig.end(signal.SIGTERM)
    rig.env["PATH"] = path
    await rig.start()
