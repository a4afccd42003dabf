"""What only a kernel can show: refusals, limits, streams, terminals, adoption."""

import asyncio
import os
import signal
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from tests.conformance.runtime.worlds import SLEEPS, Box, KernelWorld, Program, exits

from seaway_agent.kernel import procs
from seaway_agent.runtime import shim
from seaway_agent.runtime.failures import exit_code_for
from seaway_agent.runtime.run import ContainerRun
from seaway_agent.runtime.shim_starter import ShimStarter
from seaway_agent.runtime.shims import shims_below
from seaway_agent.streams.console import Console
from seaway_agent.streams.spill import SpillStore
from seaway_bus.streams import ByteStream, new_stream_id
from seaway_contracts.containers import Command, Resources
from seaway_contracts.errors import Code, SeawayError
from seaway_testing.waiting import until

HEAD = "failed to create task for container: failed to create shim task: OCI runtime create failed: "


@pytest.mark.parametrize(
    ("args", "code", "words"),
    [
        (("no-such-program",), 127, 'exec: "no-such-program": executable file not found in $PATH: unknown'),
        (("/no/such/program",), 127, "stat /no/such/program: no such file or directory: unknown"),
        (("/etc/notes",), 126, 'exec: "/etc/notes": permission denied: unknown'),
        (("/etc",), 126, ": unknown"),
        (("/etc/notes/program",), 128, "stat /etc/notes/program: not a directory: unknown"),
    ],
)
async def test_refusals_in_dockers_words(kernel: KernelWorld, args: tuple[str, ...], code: int, words: str) -> None:
    """By the create, or by the start where the runtime looks for the program only then."""
    box = await kernel.make(Program(args))
    with pytest.raises(SeawayError) as refusal:
        await box.started()
    await box.clean_up()
    message = refusal.value.message
    assert message.startswith(HEAD)
    assert (exit_code_for(refusal.value), refusal.value.code) == (code, Code.BAD_REQUEST)
    if "open executable: " not in message:  # crun before 1.15 names no file then
        assert message.endswith(words)
        assert args[0] in message
    assert "\\" not in message
    assert "level=" not in message
    assert box.runtime.run is None
    assert kernel.left() == []


async def test_a_limit_that_cant_be_set_is_128(kernel: KernelWorld) -> None:
    box = await kernel.make(exits(0), resources=Resources(cpuset_cpus="4000"))
    with pytest.raises(SeawayError) as refusal:
        await box.create()
    assert (exit_code_for(refusal.value), refusal.value.code) == (128, Code.INTERNAL)


async def test_the_memory_limit_is_told_as_oom(kernel: KernelWorld) -> None:
    hog = Program(("tail", "/dev/zero"))
    least = (128 if kernel.runtime == "runsc" else 16) << 20  # gVisor's own kernel counts too
    box = await kernel.make(hog, resources=Resources(memory=least, memory_swap=least))
    how = await box.ran()
    assert (how.code, how.oom) == (137, True)


async def test_a_file_without_a_format_fails_by_itself(kernel: KernelWorld) -> None:
    """It is executable, so it is found out by execve alone, at the start: the container ends, as Docker's does.

    gVisor is both runtime and kernel, and refuses the start.
    """
    box = await kernel.make(Program(("/bin/broken",)))
    if kernel.runtime == "runsc":
        with pytest.raises(SeawayError, match="exec format error"):
            await box.started()
        await box.clean_up()
    else:
        assert (await box.ran()).code != 0


async def test_the_start_takes_no_further_process(kernel: KernelWorld, monkeypatch: pytest.MonkeyPatch) -> None:
    if kernel.runtime == "runsc":
        pytest.skip("has no gate: its start is a process of its own")
    monkeypatch.setattr(ShimStarter, "start_container", pytest.fail)
    box = await kernel.make(exits(4))
    assert (await box.ran()).code == 4


async def test_a_start_by_the_runtimes_own_command(kernel: KernelWorld, monkeypatch: pytest.MonkeyPatch) -> None:
    async def no_gate(*_: object) -> bool:
        return False

    monkeypatch.setattr("seaway_agent.runtime.conmon_runtime.open_exec_fifo", no_gate)
    box = await kernel.make(exits(4), exits(5))
    assert [(await box.ran()).code, (await box.ran()).code] == [4, 5]


async def test_a_shim_that_hangs_is_ended_with_all_below_it(
    kernel: KernelWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def silent(_: int) -> Any:
        await until(lambda: shims_below(kernel.layout.run))
        raise SeawayError(Code.INTERNAL, "the shim said nothing")

    monkeypatch.setattr(shim, "read_report", silent)
    box = await kernel.make(SLEEPS)
    with pytest.raises(SeawayError, match="said nothing"):
        await box.create()
    assert kernel.left() == []


async def test_output_is_whole_at_the_end(kernel: KernelWorld) -> None:
    counts = "i=0; while [ $i -lt 3000 ]; do echo line $i; i=$((i+1)); done"
    box = await kernel.make(Program(("sh", "-c", counts)))
    await box.ran()
    assert kernel.log(box) == "".join(f"line {n}\n" for n in range(3000))


async def test_the_rootfs_is_mounted_for_the_container_alone(kernel: KernelWorld) -> None:
    box = await kernel.make(SLEEPS)
    run = await box.started()
    assert kernel.mounts() == []
    if kernel.runtime != "runsc":  # there the gofer holds it, in a namespace of its own
        assert Path(f"/proc/{run.pid}/root/bin/busybox").exists()
    await box.clean_up()


@pytest.mark.parametrize("adopted", [False, True])
async def test_an_end_does_not_wait_for_the_last_unmount(kernel: KernelWorld, adopted: bool) -> None:
    """That syncs the file system below; the clean-up does wait for it."""
    if kernel.runtime == "runsc":
        pytest.skip("its gofer holds the rootfs, and nobody else can")
    box = await kernel.make(SLEEPS)
    run = await box.started()
    conmon = shims_below(kernel.layout.run)[box.id].pid
    if adopted:
        box.runtime.close()
        box.adopt(ContainerRun(run.pid, procs.open_pidfd(run.pid), procs.open_pidfd(conmon), False))
        box.watch()
    with every_thread_busy(kernel.unmounters):
        kernel.kill(box)
        await box.end()
        cleaning = asyncio.ensure_future(box.clean_up())
        await until(lambda: len(kernel.left()) == 1, what="the rootfs and nothing else")
        [held] = kernel.left()
        assert os.listdir(f"/proc/self/fd/{held.split()[2]}/bin")
        assert not cleaning.done()
    await cleaning
    assert kernel.left() == []
    if adopted:
        await reaped(conmon)


async def test_a_running_one_is_adopted_and_its_end_told(kernel: KernelWorld) -> None:
    box = await kernel.make(SLEEPS)
    run = await box.started()
    conmon = shims_below(kernel.layout.run)[box.id].pid
    box.runtime.close()
    assert box.ends == []
    pidfd, conmon_fd = procs.open_pidfd(run.pid), procs.open_pidfd(conmon)
    box.adopt(ContainerRun(run.pid, pidfd, conmon_fd, False))
    box.watch()
    box.runtime.signal(signal.SIGKILL)
    assert (await box.end()).code == 137
    await box.clean_up()
    await reaped(conmon)


async def test_one_whose_shim_is_gone_is_adopted(kernel: KernelWorld) -> None:
    box = await kernel.make(SLEEPS)
    run = await box.started()
    conmon = shims_below(kernel.layout.run)[box.id].pid
    box.runtime.close()
    os.kill(conmon, signal.SIGKILL)
    await reaped(conmon)
    box.adopt(ContainerRun(run.pid, procs.open_pidfd(run.pid), -1, False))
    box.watch()
    assert box.ends == []
    box.runtime.signal(signal.SIGKILL)
    assert (await box.end()).code in (137, -1)
    await box.clean_up()


async def test_a_terminal_is_sized(kernel: KernelWorld) -> None:
    waits = "while [ \"$(stty size)\" != '33 77' ]; do sleep 0.01; done; stty size"
    process = Command(cmd=("sh", "-c", waits), env=("PATH=/bin",), tty=True)
    box = await kernel.make(Program(()), command=process)
    await box.started()
    for height in (*range(60, 99), 33):  # of many at once the last one stays
        box.runtime.resize(height, 77)
    assert (await box.end()).code == 0
    await box.clean_up()
    assert kernel.log(box).split()[-2:] == ["33", "77"]


async def test_input_ends_and_output_goes_on(kernel: KernelWorld, tmp_path: Path) -> None:
    process = Command(cmd=("sh", "-c", "cat; echo bye"), env=("PATH=/bin",), open_stdin=True, stdin_once=True)
    box = await kernel.make(Program(()), command=process)
    client, console = await attached(kernel, box, tmp_path, tty=False)
    await box.create()
    box.runtime.connect_console(console)
    box.runtime.connect_console(console)
    await box.runtime.start()
    box.watch()
    await client.write(b"hello\n")
    await client.end()
    assert (await box.end()).code == 0
    console.end()
    heard = b""
    while piece := await client.read():
        heard += piece
    assert heard.endswith(b"bye\n")
    assert b"hello\n" in heard
    await client.close()
    await box.clean_up()


async def test_many_starts_and_ends_at_once(kernel: KernelWorld) -> None:
    boxes = [await kernel.make(exits(code)) for code in range(12)]
    ends = await asyncio.gather(*(box.ran() for box in boxes))
    assert [how.code for how in ends] == list(range(12))


@contextmanager
def every_thread_busy(pool: ThreadPoolExecutor) -> Iterator[None]:
    """With something that ends when the test has seen enough."""
    seen = threading.Event()
    for _ in range(pool._max_workers):
        pool.submit(seen.wait)
    try:
        yield
    finally:
        seen.set()


async def reaped(child: int) -> None:
    """What the agent has let go of is reaped by its parent, which the test is."""
    await until(lambda: os.waitpid(child, os.WNOHANG) != (0, 0))


async def attached(kernel: KernelWorld, box: Box, spill: Path, *, tty: bool) -> tuple[ByteStream, Console]:
    console = Console(box.id, tty=tty, stdin=True, stdin_once=True, spill=SpillStore(spill), tasks=kernel.tasks)
    name = new_stream_id()
    client = await ByteStream(kernel.bus.transport, name, "opening", kernel.tasks).open()
    served = await ByteStream(kernel.bus.transport, name, "serving", kernel.tasks).open()
    console.attach(served, stdin=True, stdout=True, stderr=True)
    return client, console
