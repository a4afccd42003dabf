"""Execs by the keeper itself into containers that mean harm, end or stand still meanwhile."""

import asyncio
import contextlib
import errno
import json
import os
import signal
import sys
import sysconfig
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest
from tests.integration.agent.rig import AgentRig
from tests.integration.agent.test_entering import idling, outcome
from tests.integration.agent.test_execs import Execs

from seaway_agent.core.exec_steps import NOT_STARTED
from seaway_agent.keeper.keeper import keepers_below
from seaway_agent.kernel import cgroups
from seaway_contracts.containers import Mount, Resources
from seaway_contracts.errors import SeawayError

pytestmark = pytest.mark.root

# Stops what comes into the container as soon as it is there, by the number that it will have. One that is not the
# program yet is tried out, and let go with signals in its way.
_ATTACK: Final = """
import ctypes, json, os, signal
libc = ctypes.CDLL(None, use_errno=True)
def same(name):
    return open(f"/proc/{pid}/{name}").read() == open(f"/proc/self/{name}").read()
def can(what, *args):
    try:
        what(*args)
    except OSError:
        return False
    return True
def caught():
    try:
        os.kill(pid, signal.SIGSTOP)
        if b"/keeper/process.py" in open(f"/proc/{pid}/cmdline", "rb").read():
            return True
        os.kill(pid, signal.SIGCONT)
    except OSError:
        pass
    return False
print("watching", flush=True)
pid, turn = 0, 0
while not caught():
    turn += 1
    if turn % 50 == 1:
        pid = int(open("/proc/loadavg").read().split()[-1]) + 1
proc = f"/proc/{pid}"
names = "environ maps smaps auxv io stack syscall mem pagemap personality".split()
print(json.dumps({
    "its own": [name for name in ("mountinfo", "net/unix", "net/dev") if not same(name)],
    "read": [name for name in names if can(lambda: open(f"{proc}/{name}", "rb").read(8))],
    "links": [name for name in ("exe", "cwd", "root", "ns/mnt", "fd/3") if can(os.readlink, f"{proc}/{name}")],
    "written": [name for name in ("exe", "mem", "fd/3", "fd/4") if can(open, f"{proc}/{name}", "r+b")],
    "traced": libc.ptrace(16, pid, 0, 0) == 0,
    "scored": can(lambda: open(f"{proc}/oom_score_adj", "w").write("777")),
}), flush=True)
for number in (signal.SIGINT, signal.SIGUSR1, signal.SIGCHLD, signal.SIGCONT):
    os.kill(pid, number)
signal.pause()
"""


def _pythons() -> tuple[Mount, ...]:
    """What the interpreter needs, from the host."""
    real, stdlib = Path(sys.executable).resolve(), sysconfig.get_paths()["stdlib"]
    tops = {"/usr", "/lib", "/lib64", str(real.parent.parent), str(Path(sys.executable).parent.parent), stdlib}
    inner = {top for top in tops if any(top != other and Path(top).is_relative_to(other) for other in tops)}
    return tuple(
        Mount(type="bind", source=top, target=top, read_only=True) for top in sorted(tops - inner) if Path(top).exists()
    )


async def test_one_that_is_stopped_on_its_way_gives_nothing_away(rig: AgentRig) -> None:
    command = (sys.executable, "-S", "-E", "-c", _ATTACK)
    execs = Execs(rig, await rig.create(rig.spec(*command, mounts=_pythons())))
    await rig.start_container(execs.container)
    await rig.until(lambda: "watching" in rig.output(execs.container))
    while len(lines := rig.output(execs.container).splitlines()) < 2:
        assert (await outcome(execs, ("true",)))[1] in (0, 128 + signal.SIGINT)
    assert json.loads(lines[1]) == {
        "its own": [],
        "read": [],
        "links": [],
        "written": [],
        "traced": False,
        "scored": True,
    }
    await rig.until(lambda: len(keepers_below(rig.run)) == 1)
    (keeper,) = keepers_below(rig.run)
    assert Path(f"/proc/{keeper.pid}/oom_score_adj").read_text() == "0\n"
    score = ("cat", "/proc/self/oom_score_adj")
    assert await outcome(execs, score) == ({1: b"0\n", 2: b""}, 0)
    await rig.until(lambda: keepers_below(rig.run) == [keeper])


# Holds the interpreter that it is run by, and writes to it when it is a shell instead.
_OVERWRITE: Final = """
import os
held = os.open("/proc/self/exe", os.O_RDONLY)
os.set_inheritable(held, True)
for mode in (os.O_RDWR, os.O_WRONLY | os.O_TRUNC):
    try:
        os.open("/proc/self/exe", mode)
    except OSError as error:
        print(error.errno, flush=True)
os.execv("/bin/sh", ["sh", "-c", f"echo overwritten > /proc/self/fd/{held} || exit 9"])
"""


async def test_the_interpreter_can_not_be_overwritten(rig: AgentRig, tmp_path: Path) -> None:
    """CVE-2019-5736: a process on its way has it as `/proc/self/exe`."""
    host = Path(sys.executable).resolve()
    before = host.read_bytes()
    (tmp_path / "code").write_text(_OVERWRITE)
    (tmp_path / "trap").write_text("#!/proc/self/exe -SE\n" + _OVERWRITE)
    (tmp_path / "trap").chmod(0o755)
    own = [Mount(type="bind", source=str(tmp_path / name), target=f"/{name}") for name in ("code", "trap")]
    execs = await idling(rig, mounts=(*_pythons(), *own))
    for args in (("/proc/self/exe", "-S", "-E", "/code"), ("/trap",)):
        said, code = await outcome(execs, args)
        assert set(said[1].split()) <= {b"%d" % number for number in (errno.EROFS, errno.ETXTBSY)}
        assert (len(said[1].split()), code) == (2, 9), said
    assert host.read_bytes() == before


async def test_a_container_that_ends_takes_nobody_with_it(rig: AgentRig) -> None:
    other = await idling(rig)
    assert await outcome(other, ("echo", "hi")) == ({1: b"hi\n", 2: b""}, 0)
    await rig.until(lambda: len(keepers_below(rig.run)) == 1)
    keepers = keepers_below(rig.run)
    for pause_s in (0.0, 0.001, 0.002, 0.003, 0.004, 0.006):
        execs = await idling(rig)
        first = (await rig.inventory(execs.container))[execs.container].status.pid
        identifiers = [await execs.make("true", attach_stdin=True) for _ in range(4)]
        under_way = asyncio.gather(*map(execs.output, identifiers), return_exceptions=True)
        await asyncio.sleep(pause_s)
        os.kill(first, signal.SIGKILL)
        assert all(isinstance(said, bytes | SeawayError) for said in await under_way)
        await rig.died(execs.container)
        await rig.until(lambda: keepers_below(rig.run) == keepers)
    assert await outcome(other, ("echo", "hi")) == ({1: b"hi\n", 2: b""}, 0)


_HOG: Final = "a=xxxxxxxx; while :; do a=$a$a; done"


async def test_where_memory_is_short_the_keeper_is_not_ended(rig: AgentRig) -> None:
    """The kernel ends a process with all that share its memory, and a keeper is larger than all that fits in there. At
    times it ends the container's first one.
    """
    other, ends = await idling(rig), set[int | None]()
    assert await outcome(other, ("true",)) == ({1: b"", 2: b""}, 0)
    await rig.until(lambda: len(keepers_below(rig.run)) == 1)
    keepers = keepers_below(rig.run)
    for _ in range(6):
        execs, found = await idling(rig, resources=Resources(memory=8 << 20, memory_swap=8 << 20)), list[int | None]()
        while len(found) < 60 and None not in found:
            programs = [("sh", "-c", _HOG), *[("true",)] * 5]
            found += await asyncio.gather(*(code_while_it_runs(execs, program) for program in programs))
            await rig.until(lambda: keepers_below(rig.run) == keepers)  # guides end a moment behind programs
        ends |= {*found}
    assert ends - {None} == {0, 128 + signal.SIGKILL}


async def code_while_it_runs(execs: Execs, program: tuple[str, ...]) -> int | None:
    """None where the container has ended before: the agent says so, or the runtime in place of the program."""
    try:
        said, code = await outcome(execs, program)
    except SeawayError as error:
        assert error.message.endswith("is not running")
        return None
    return None if code == NOT_STARTED and b"is not running" in said[1] else code


async def test_a_container_that_stands_still_keeps_nobody_else_waiting(rig: AgentRig) -> None:
    """As if it were paused between the agent's look and the keeper's turn."""
    frozen, other = await idling(rig), await idling(rig)
    first = (await rig.inventory(frozen.container))[frozen.container].status.pid
    identifiers = [await frozen.make("true", attach_stdin=True) for _ in range(3)]
    with _frozen(first):
        under_way = asyncio.gather(*map(frozen.output, identifiers))
        for _ in range(10):
            assert await outcome(other, ("echo", "hi")) == ({1: b"hi\n", 2: b""}, 0)
        assert not under_way.done()
    assert await under_way == [b""] * 3
    await rig.until(lambda: len(keepers_below(rig.run)) == 1)


@contextlib.contextmanager
def _frozen(pid: int) -> Iterator[None]:
    layout = cgroups.host_layout()
    path = Path(f"/proc/{pid}/cgroup").read_text().splitlines()[0].split(":", 2)[2]
    cgroups.freeze(layout, path)
    try:
        yield
    finally:
        cgroups.thaw(layout, path)
