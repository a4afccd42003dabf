"""No container runs without the seccomp filter that it was made with, whatever its runtime does."""

import json
import shutil
from pathlib import Path

import pytest
from tests.conformance.runtime.unfiltered import unfiltered
from tests.conformance.runtime.worlds import SLEEPS, SLEEPS_AS_ANY, Box, KernelWorld, Program, exits

from seaway_agent.kernel import procs
from seaway_agent.runtime.runtimes import Runtimes
from seaway_contracts.containers import Security
from seaway_contracts.errors import Code, SeawayError

NOTHING_REFUSED = json.dumps({"defaultAction": "SCMP_ACT_ALLOW", "syscalls": []})
FILTERED = {
    "default": Security(),
    "no new privileges": Security(no_new_privileges=True),
    "own profile": Security(seccomp=NOTHING_REFUSED),
    "own profile, no new privileges": Security(seccomp=NOTHING_REFUSED, no_new_privileges=True),
    "own profile, privileged": Security(seccomp=NOTHING_REFUSED, privileged=True),
}
UNFILTERED = {
    "unconfined": Security(seccomp="unconfined"),
    "unconfined, no new privileges": Security(seccomp="unconfined", no_new_privileges=True),
    "privileged": Security(privileged=True),
    "empty profile": Security(seccomp=json.dumps({"defaultAction": "", "syscalls": []})),
}


def mode(pid: int) -> str:
    """See proc_pid_status(5)."""
    return Path(f"/proc/{pid}/status").read_text().partition("\nSeccomp:\t")[2].partition("\n")[0]


def without_filters(kernel: KernelWorld, directory: Path) -> None:
    real = shutil.which(kernel.runtime)
    assert real is not None
    kernel.runtimes = Runtimes({kernel.runtime: str(unfiltered(directory, real))}, kernel.runtime)


@pytest.mark.parametrize("security", FILTERED.values(), ids=FILTERED)
async def test_one_that_has_its_filter_runs(kernel: KernelWorld, security: Security) -> None:
    box = await kernel.make(SLEEPS, security=security)
    run = await box.started()
    assert run.filtered is (kernel.runtime != "runsc")
    if run.filtered:
        assert mode(run.pid) == "2"
    await box.clean_up()
    ends = await kernel.make(*[exits(code) for code in range(3)], security=security)
    assert [(await ends.ran()).code for _ in range(3)] == [0, 1, 2]


@pytest.mark.parametrize("program", [SLEEPS, SLEEPS_AS_ANY], ids=["own pids", "host's pids"])
@pytest.mark.parametrize("security", FILTERED.values(), ids=FILTERED)
async def test_one_without_its_filter_does_not_run(
    kernel: KernelWorld, tmp_path: Path, security: Security, program: Program
) -> None:
    if kernel.runtime == "runsc":
        pytest.skip("the host's kernel shows no filter of gVisor's")
    without_filters(kernel, tmp_path)
    box = await kernel.make(program, security=security)
    run = await box.create()
    assert mode(run.pid) == "0"
    refusal = await refused(box, kernel)
    await box.clean_up()
    assert refusal.code is Code.INTERNAL
    assert procs.find(run.pid) is None
    assert kernel.left() == []


async def refused(box: Box, kernel: KernelWorld) -> SeawayError:
    with pytest.raises(
        SeawayError, match=f"the runtime {kernel.runtime} gave the container no seccomp filter"
    ) as found:
        await box.runtime.start()
    return found.value


async def test_its_program_does_not_begin(kernel: KernelWorld, tmp_path: Path) -> None:
    if kernel.runtime == "runsc":
        pytest.skip("the host's kernel shows no filter of gVisor's")
    without_filters(kernel, tmp_path)
    box = await kernel.make(Program(("sh", "-c", "echo began >/began")))
    await box.create()
    await refused(box, kernel)
    await box.clean_up()
    assert not (kernel.uppers.locate(box.id).upper / "began").exists()


@pytest.mark.parametrize("security", UNFILTERED.values(), ids=UNFILTERED)
async def test_one_that_is_to_have_none_runs(kernel: KernelWorld, tmp_path: Path, security: Security) -> None:
    without_filters(kernel, tmp_path)
    box = await kernel.make(exits(3), security=security)
    assert (await box.ran()).code == 3


@pytest.mark.parametrize("no_new_privileges", [False, True])
async def test_one_that_is_killed_at_its_gate_is_not_blamed(
    kernel: KernelWorld, tmp_path: Path, no_new_privileges: bool
) -> None:
    without_filters(kernel, tmp_path)
    box = await kernel.make(SLEEPS, security=Security(no_new_privileges=no_new_privileges))
    await box.create()
    await kernel.kill_before_start(box)
    with pytest.raises((SeawayError, OSError)) as failure:
        await box.runtime.start()
    assert "filter" not in str(failure.value)
    await box.clean_up()
