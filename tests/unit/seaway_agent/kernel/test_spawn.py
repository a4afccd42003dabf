import os
import signal
from collections.abc import Mapping
from pathlib import Path

import pytest

from seaway_agent.kernel.spawn import spawn
from seaway_testing.descriptors import open_descriptors


def run(script: str, fds: Mapping[int, int] | None = None, **options: str) -> tuple[int, str]:
    """(exit code, what a shell wrote to its stdout)."""
    reader, writer = os.pipe()
    try:
        child = spawn(
            ["/bin/sh", "-c", script], fds={**(fds or {}), 1: writer}, env={"PATH": "/usr/bin:/bin"}, **options
        )
    except BaseException:
        os.close(reader)
        raise
    finally:
        os.close(writer)
    with os.fdopen(reader) as out:
        text = out.read()
    _, status = os.waitpid(child.pid, 0)
    os.close(child.pidfd)
    return os.waitstatus_to_exitcode(status), text


def test_exit_code_directory_and_environment(tmp_path: Path) -> None:
    assert run("pwd; echo $PATH; exit 3", cwd=str(tmp_path)) == (3, f"{tmp_path}\n/usr/bin:/bin\n")
    assert str(tmp_path) != str(Path.cwd())


def test_only_the_given_descriptors_are_inherited() -> None:
    leak = os.open("/dev/null", os.O_RDONLY)
    try:
        os.set_inheritable(leak, True)
        _, text = run("cd /proc/self/fd; echo *", fds={5: leak})
    finally:
        os.close(leak)
    names = set(text.split())
    # The shell itself may hold the directory it lists.
    assert {"0", "1", "2", "5"} <= names
    assert str(leak) == "5" or str(leak) not in names
    assert len(names) <= 5


def test_missing_standard_descriptors_are_the_null_device() -> None:
    assert run("readlink /proc/$$/fd/0 /proc/$$/fd/2") == (0, "/dev/null\n/dev/null\n")


def test_descriptors_can_swap_numbers(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("A\n")
    (tmp_path / "b").write_text("B\n")
    before = open_descriptors()
    a, b = os.open(tmp_path / "a", os.O_RDONLY), os.open(tmp_path / "b", os.O_RDONLY)
    try:
        assert run(f"cat /dev/fd/{a} /dev/fd/{b}", fds={a: b, b: a}) == (0, "B\nA\n")
    finally:
        os.close(a)
        os.close(b)
    assert open_descriptors() == before


def test_signals_start_at_their_defaults() -> None:
    old = signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
    try:
        _, text = run("exec grep -E '^Sig(Ign|Blk)' /proc/self/status")
    finally:
        signal.signal(signal.SIGINT, old)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGTERM})
    assert [int(line.split()[1], 16) for line in text.splitlines()] == [0, 0]


def test_own_session() -> None:
    _, text = run("cut -d' ' -f6 /proc/$$/stat; echo $$")
    session, pid = text.split()
    assert session == pid


@pytest.mark.parametrize(("argv0", "cwd"), [("/absent/program", "/"), ("/bin/sh", "/absent/directory")])
def test_what_cannot_start_leaves_nothing(argv0: str, cwd: str) -> None:
    before, children = open_descriptors(), Path(f"/proc/self/task/{os.getpid()}/children")
    born_before = children.read_text()
    with pytest.raises(FileNotFoundError, match="started in"):
        spawn([argv0], cwd=cwd)
    assert open_descriptors() == before
    assert children.read_text() == born_before
