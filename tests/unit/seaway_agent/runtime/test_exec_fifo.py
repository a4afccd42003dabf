"""The runtimes' exec FIFO on real FIFOs, with processes that play their inits."""

import asyncio
import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from seaway_agent.runtime import exec_fifo
from seaway_contracts.errors import SeawayError
from seaway_testing.descriptors import none_left_open
from seaway_testing.waiting import GUARD_S, until

WRITES = 'exec 9>"$0"; printf 0 >&9; exec sleep 60'


class Init:
    """A process that does with the FIFO what a script says."""

    def __init__(self, fifo: Path, script: str) -> None:
        os.mkfifo(fifo)
        self.pid = os.posix_spawn("/bin/sh", ["sh", "-c", script, str(fifo)], {"PATH": "/bin:/usr/bin"})
        self.pidfd = os.pidfd_open(self.pid)

    def close(self) -> None:
        try:
            os.kill(self.pid, 9)
        except ProcessLookupError:
            pass
        os.waitpid(self.pid, 0)
        os.close(self.pidfd)


@pytest.fixture
def fifo(tmp_path: Path) -> Path:
    return tmp_path / "exec.fifo"


@pytest.fixture
def writing(fifo: Path) -> Iterator[Init]:
    init = Init(fifo, WRITES)
    yield init
    init.close()


@pytest.fixture
def dying(fifo: Path) -> Iterator[Init]:
    init = Init(fifo, "exit 1")
    yield init
    init.close()


async def test_runcs_fifo_is_read_and_removed(fifo: Path, writing: Init) -> None:
    with none_left_open():
        assert await exec_fifo.open_exec_fifo("runc", fifo, writing.pidfd) is True
        assert not fifo.exists()


async def test_it_is_the_program_that_has_been_started(fifo: Path) -> None:
    """A signal that comes behind the start is the program's, and not runc's."""
    script = 'printf runc:[2:INIT] >/proc/$$/comm; exec 9>"$0"; printf 0 >&9; n=0; while [ $n -lt 20000 ]; '
    init = Init(fifo, script + "do n=$((n+1)); done; exec sleep 60")
    try:
        assert await exec_fifo.open_exec_fifo("runc", fifo, init.pidfd) is True
        assert Path(f"/proc/{init.pid}/comm").read_text() == "sleep\n"
    finally:
        init.close()


async def test_an_end_of_the_fifo_is_not_that_of_init(fifo: Path) -> None:
    init = Init(fifo, 'exec 9>"$0"; exec 9>&-; sleep 0.05; exec 9>"$0"; printf 0 >&9; exec sleep 60')
    try:
        assert await exec_fifo.open_exec_fifo("runc", fifo, init.pidfd) is True
    finally:
        init.close()


async def test_an_init_that_ends_before_it_writes_is_an_error(fifo: Path, dying: Init) -> None:
    with pytest.raises(SeawayError, match="ended before its program could be started"):
        await exec_fifo.open_exec_fifo("runc", fifo, dying.pidfd)
    assert fifo.exists(), "the next agent must see that it has not been started"


@pytest.fixture
def named(tmp_path: Path) -> Iterator[Init]:
    """A process with the name of runc's init that becomes a program when a file appears."""
    script = 'printf runc:[2:INIT] >/proc/$$/comm; : >"$0.named"; until test -e "$0.go"; do :; done; exec sleep 60'
    init = Init(tmp_path / "n", script)
    wait_for(lambda: (tmp_path / "n.named").exists())
    yield init
    init.close()


def wait_for(condition: Callable[[], bool]) -> None:
    end = time.monotonic() + GUARD_S
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.001)


def state_of(pid: int) -> str:
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]


def test_an_init_that_waits_at_its_fifo_is_stopped(named: Init, tmp_path: Path) -> None:
    assert exec_fifo.stop_if_init(named.pid) is True
    (tmp_path / "n.go").touch()
    assert state_of(named.pid) == "T"
    assert Path(f"/proc/{named.pid}/comm").read_text() == "runc:[2:INIT]\n"


def test_a_started_program_continues(named: Init, tmp_path: Path) -> None:
    (tmp_path / "n.go").touch()
    wait_for(lambda: Path(f"/proc/{named.pid}/comm").read_text() == "sleep\n")
    assert exec_fifo.stop_if_init(named.pid) is False
    assert state_of(named.pid) in "RS"


def test_a_process_that_is_gone_is_no_init(fifo: Path) -> None:
    init = Init(fifo, "exit 0")
    init.close()
    assert exec_fifo.stop_if_init(init.pid) is False


async def test_an_init_that_does_nothing_is_given_up(fifo: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(exec_fifo, "_PATIENCE_S", 0.01)
    init = Init(fifo, "exec sleep 60")
    try:
        with pytest.raises(SeawayError, match="did not come to its start"):
            await exec_fifo.open_exec_fifo("runc", fifo, init.pidfd)
    finally:
        init.close()


async def test_without_a_fifo_the_runtimes_own_start_is_needed(fifo: Path) -> None:
    assert await exec_fifo.open_exec_fifo("runc", fifo, 0) is False
    assert await exec_fifo.open_exec_fifo("crun", fifo, -1) is False
    os.mkfifo(fifo)
    assert await exec_fifo.open_exec_fifo("runsc", fifo, -1) is False
    assert await exec_fifo.open_exec_fifo("runc", fifo, -1) is False


async def test_cruns_fifo_is_written_once_init_has_it_open(fifo: Path) -> None:
    os.mkfifo(fifo)
    passing = asyncio.ensure_future(exec_fifo.open_exec_fifo("crun", fifo, -1))
    await asyncio.sleep(0)
    reader = os.open(fifo, os.O_RDONLY | os.O_NONBLOCK)
    try:
        assert await passing is True
        assert os.read(reader, 8) == b"\0"
    finally:
        os.close(reader)
    assert not fifo.exists()


async def test_cruns_fifo_is_written_once_init_sleeps(fifo: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    state_of, looks = exec_fifo.procs.state_of, []
    monkeypatch.setattr(exec_fifo.procs, "state_of", lambda pid: looks.append(pid) or state_of(pid))
    script = 'exec 9<>"$0"; until test -e "$0.go"; do :; done; read -r word <&9; exit 7'
    init = Init(fifo, script)
    try:
        wait_for(Path(f"/proc/{init.pid}/fd/9").exists)
        passing = asyncio.ensure_future(exec_fifo.open_exec_fifo("crun", fifo, init.pidfd))
        await until(lambda: len(looks) > 3)
        assert fifo.exists() and not passing.done()
        fifo.with_name("exec.fifo.go").touch()
        assert await passing is True
        assert not fifo.exists()
    finally:
        init.close()


async def test_an_init_that_never_sleeps_does_not_block_for_ever(fifo: Path) -> None:
    init = Init(fifo, 'exec 9<>"$0"; while :; do :; done')
    try:
        wait_for(Path(f"/proc/{init.pid}/fd/9").exists)
        assert await exec_fifo.open_exec_fifo("crun", fifo, init.pidfd) is True
    finally:
        init.close()


async def test_an_init_that_ends_at_cruns_fifo_is_an_error(fifo: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    os.mkfifo(fifo)
    reader = os.open(fifo, os.O_RDONLY | os.O_NONBLOCK)
    monkeypatch.setattr(Path, "unlink", lambda *_: os.close(reader))
    with none_left_open(), pytest.raises(SeawayError, match="ended before its program could be started"):
        await exec_fifo.open_exec_fifo("crun", fifo, -1)


async def test_a_fifo_without_a_reader_is_given_up(fifo: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(exec_fifo, "_TRIES", 3)
    os.mkfifo(fifo)
    assert await exec_fifo.open_exec_fifo("crun", fifo, -1) is False
    assert fifo.exists()
