import os
import shutil
import signal
import threading
from concurrent.futures import CancelledError
from pathlib import Path

import pytest

from seaway_agent.kernel import overlay, syscalls
from seaway_agent.kernel.cgroup_text import CgroupLayout, CgroupMode
from seaway_agent.kernel.launcher import Launcher, unmount_in_namespace_of
from seaway_agent.kernel.spawn import spawn

pytestmark = pytest.mark.root


def own_mounts() -> str:
    return Path("/proc/thread-self/mountinfo").read_text()


def test_mounts_are_seen_in_the_thread_and_nowhere_else(launcher: Launcher, tmp_path: Path) -> None:
    launcher.call(syscalls.mount, "none", str(tmp_path), "tmpfs").result()
    launcher.call((tmp_path / "file").write_text, "hidden").result()
    assert str(tmp_path) in launcher.call(own_mounts).result()
    assert str(tmp_path) not in own_mounts()
    assert not (tmp_path / "file").exists()


def test_calls_run_in_order_in_one_thread(launcher: Launcher) -> None:
    seen: list[int] = []
    futures = [launcher.call(seen.append, number) for number in range(100)]
    threads = {launcher.call(threading.get_ident).result() for _ in range(3)}
    assert all(future.done() for future in futures)
    assert seen == list(range(100))
    assert len(threads) == 1
    assert threading.get_ident() not in threads


def test_errors_come_back_and_the_thread_goes_on(launcher: Launcher) -> None:
    with pytest.raises(FileNotFoundError):
        launcher.call(os.stat, "/absent").result()
    assert launcher.call(os.getpid).result() == os.getpid()


def test_a_cancelled_call_is_not_made(launcher: Launcher) -> None:
    gate = threading.Event()
    launcher.call(gate.wait)
    seen: list[int] = []
    future = launcher.call(seen.append, 1)
    assert future.cancel()
    gate.set()
    launcher.call(seen.append, 2).result()
    assert seen == [2]
    with pytest.raises(CancelledError):
        future.result()


def test_the_working_directory_is_the_threads_own(launcher: Launcher, tmp_path: Path) -> None:
    launcher.call(os.chdir, str(tmp_path)).result()
    assert launcher.call(os.getcwd).result() == str(tmp_path)
    assert os.getcwd() != str(tmp_path)


def test_closing_finishes_what_was_called_and_refuses_more() -> None:
    thread = Launcher()
    with pytest.raises(RuntimeError, match="call start"):
        thread.call(os.getpid)
    thread.start()
    last = thread.call(os.getpid)
    thread.close()
    thread.close()
    assert last.done()
    with pytest.raises(RuntimeError, match="nothing after close"):
        thread.call(os.getpid)


def test_the_unified_hierarchy_of_a_hybrid_host_is_covered(launcher: Launcher, layout: CgroupLayout) -> None:
    if layout.mode is not CgroupMode.HYBRID or layout.unified is None:
        pytest.skip("not a hybrid host")
    assert launcher.call(os.listdir, layout.unified).result() == []
    launcher.call(os.makedirs, f"{layout.unified}/seaway/s/c1").result()
    launcher.call((Path(layout.unified) / "seaway/s/c1/cgroup.procs").write_text, "1").result()
    assert not os.path.exists(f"{layout.unified}/seaway/s/c1")
    launcher.remove_crun_directory("/seaway/s/c1").result()
    assert launcher.call(os.listdir, f"{layout.unified}/seaway/s").result() == []
    assert "cgroup.procs" in os.listdir(layout.unified)


def test_children_live_in_the_namespace_and_what_an_agent_left_there_can_be_unmounted(tmp_path: Path) -> None:
    """The launcher of a killed agent is gone, its shim holds the namespace with a rootfs still mounted."""
    old = Launcher()
    old.start()
    for name in ("l", "u", "w", "m"):
        (tmp_path / name).mkdir()
    lower, upper, work, merged = (str(tmp_path / name) for name in ("l", "u", "w", "m"))
    old.call(overlay.mount_overlay, merged, [lower], upper, work).result()
    child = old.call(spawn, ["/bin/sleep", "60"]).result()
    old.close()
    try:
        there = Path(f"/proc/{child.pid}/mountinfo")
        assert merged in there.read_text()
        assert unmount_in_namespace_of(child.pid, str(tmp_path)) == [merged]
        assert merged not in there.read_text()
        assert unmount_in_namespace_of(child.pid, str(tmp_path)) == []
    finally:
        os.kill(child.pid, signal.SIGKILL)
        os.waitpid(child.pid, 0)
        os.close(child.pidfd)


def test_nothing_is_unmounted_in_the_callers_own_namespace() -> None:
    assert unmount_in_namespace_of(os.getpid(), "/proc") == []
    assert "/proc " in own_mounts()


def test_programs_are_read_only_in_its_namespace_alone() -> None:
    crun = str(shutil.which("crun"))
    launcher = Launcher(programs=[crun])
    launcher.start()
    try:
        assert launcher.call(os.statvfs, crun).result().f_flag & os.ST_RDONLY
        assert not os.statvfs(crun).f_flag & os.ST_RDONLY
    finally:
        launcher.close()


def test_nobody_is_given_the_hosts_null_device() -> None:
    """crun gives an exec's streams to its user."""
    launcher = Launcher()
    launcher.start()
    try:
        fd = os.open(f"/proc/self/fd/{launcher.dev_null}", os.O_RDWR | os.O_CLOEXEC)
        try:
            with pytest.raises(OSError, match="Read-only file system"):
                os.fchown(fd, 1000, 1000)
            assert os.write(fd, b"gone") == 4
            assert os.read(fd, 1) == b""
        finally:
            os.close(fd)
    finally:
        launcher.close()
    assert os.stat(os.devnull).st_uid == 0
