"""`seaway up`, `status`, `down` with a real nats-server and real processes."""

import contextlib
import dataclasses
import os
import shutil
import signal
import socket
import stat
import subprocess
import time
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from conftest import TinySuite

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="seaway up runs as root")


def get(url: str) -> tuple[int, str]:
    with urllib.request.urlopen(url, timeout=5) as reply:
        return reply.status, reply.read().decode()


def wait_for(condition: Callable[[], bool], limit_s: float = 10.0) -> None:
    deadline = time.monotonic() + limit_s
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def alive(pid: int) -> bool:
    """Running; a zombie that its adopter has not reaped is not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


def test_up_status_down(suite: "TinySuite") -> None:
    started = suite.up()
    assert started.returncode == 0, started.stderr
    assert "Seaway is ready" in started.stdout
    assert f"unix://{suite.run}/docker.sock" in started.stdout

    rows = suite.rows()
    assert list(rows) == ["nats", "metadata", "scheduler"]
    assert {row["state"] for row in rows.values()} == {"ready"}
    for name in ("metadata", "scheduler"):
        code, text = get(rows[name]["metrics"])
        assert code == 200
        assert "seaway_event_loop_lag_seconds_bucket" in text
    base = rows["scheduler"]["metrics"].removesuffix("/metrics")
    assert '"tested": {"ok": true' in get(f"{base}/readyz")[1]
    assert "metadata is ready" in (suite.run / "log" / "metadata.log").read_text()
    assert "Server is ready" in (suite.run / "log" / "nats.log").read_text()

    table = suite.seaway("status")
    assert "metadata" in table.stdout

    down = suite.seaway("down")
    assert (down.returncode, down.stdout) == (0, "Seaway has stopped; containers go on.\n")
    assert not any(alive(row["pid"]) for row in rows.values())
    assert not (suite.run / "control.sock").exists()
    assert suite.seaway("down").stdout == f"No suite runs in {suite.run}.\n"
    gone = suite.seaway("status")
    assert (gone.returncode, gone.stderr.count("\n")) == (1, 1)
    assert "no suite runs in" in gone.stderr


@pytest.mark.parametrize("option", ["--root", "--run"])
def test_one_directory_names_the_suite(suite: "TinySuite", option: str) -> None:
    place = [option, str(suite.root if option == "--root" else suite.run)]
    for stop, said in (("down", "Seaway has stopped; containers go on."), ("purge", f"removed {suite.root}")):
        assert suite.up().returncode == 0
        shown = suite.with_places(["status", *place])
        assert (shown.returncode, "metadata" in shown.stdout) == (0, True), shown.stderr
        stopped = suite.with_places([stop, *place])
        assert (stopped.returncode, said in stopped.stdout.splitlines()) == (0, True), stopped.stderr
    assert not suite.root.exists() and not suite.run.exists()


def test_services_are_not_the_first_to_be_ended_where_memory_is_short(suite: "TinySuite") -> None:
    """Where root may say so: in some containers it may not."""
    before = Path("/proc/self/oom_score_adj").read_text().strip()
    script = "echo -500 > /proc/self/oom_score_adj; cat /proc/self/oom_score_adj"
    wanted = subprocess.run(["sh", "-c", script], capture_output=True, text=True).stdout.strip()
    assert wanted in ("-500", before)
    assert suite.up().returncode == 0
    for row in suite.rows().values():
        assert Path(f"/proc/{row['pid']}/oom_score_adj").read_text().strip() == wanted


def test_second_start_keeps_identity(suite: "TinySuite") -> None:
    assert suite.up().returncode == 0
    before = (suite.root / "suite.json").read_text()
    suite.seaway("down")
    assert suite.up().returncode == 0
    assert (suite.root / "suite.json").read_text() == before


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
@pytest.mark.parametrize("send", [os.kill, os.killpg], ids=["supervisor", "terminal"])
def test_foreground_ends_in_order(suite: "TinySuite", number: signal.Signals, send: Callable[[int, int], None]) -> None:
    """Ctrl-C at a terminal goes to all processes at once: they leave it to the supervisor to stop them."""
    with suite.foreground() as process:
        assert process.stdout is not None
        assert "Seaway is ready" in process.stdout.readline()
        rows = suite.rows()
        send(process.pid, number)
        assert process.wait(20) == 0
    assert not any(alive(row["pid"]) for row in rows.values())
    logs = {path.stem: path.read_text() for path in (suite.run / "log").iterdir()}
    assert "Traceback" not in "".join(logs.values())
    assert "Server Exiting" in logs["nats"]


@pytest.mark.parametrize("name", ["metadata", "nats"])
def test_killed_process_comes_back(suite: "TinySuite", name: str) -> None:
    assert suite.up().returncode == 0
    before = suite.rows()
    os.kill(before[name]["pid"], signal.SIGKILL)
    wait_for(lambda: (row := suite.rows()[name])["restarts"] == 1 and row["state"] == "ready")
    after = suite.rows()
    assert after[name]["pid"] != before[name]["pid"]
    others = [other for other in before if other != name]
    assert [after[other]["pid"] for other in others] == [before[other]["pid"] for other in others]


def test_clean_start_after_killed_supervisor(suite: "TinySuite") -> None:
    assert suite.up().returncode == 0
    rows = suite.rows()
    supervisor = int(Path(f"/proc/{rows['nats']['pid']}/stat").read_text().rsplit(")", 1)[1].split()[1])
    os.kill(supervisor, signal.SIGKILL)
    again = suite.up()
    assert again.returncode == 0, again.stderr
    new = suite.rows()
    assert {row["state"] for row in new.values()} == {"ready"}
    assert not any(alive(row["pid"]) for row in rows.values())


def test_second_suite_in_the_same_place_is_refused(suite: "TinySuite", tmp_path: Path) -> None:
    assert suite.up().returncode == 0
    again = suite.up()
    assert again.returncode == 1
    assert again.stderr.count("\n") == 1
    assert "a suite already runs in" in again.stderr
    assert suite.rows()["nats"]["restarts"] == 0


def test_running_suite_with_another_run_directory_is_refused(suite: "TinySuite", tmp_path: Path) -> None:
    assert suite.up().returncode == 0
    other = dataclasses.replace(suite, run=tmp_path / "other")
    started = time.monotonic()
    refused = other.up()
    assert time.monotonic() - started < 8
    assert refused.returncode == 1
    assert refused.stderr == (
        f"seaway: the suite of --root {suite.root} already runs, with --run {suite.run}: "
        f"stop it with `seaway down --run {suite.run}`, or give another --root\n"
    )
    assert not other.run.exists()


def test_directories_of_two_suites_are_refused(make_suite: "Callable[[str], TinySuite]") -> None:
    one, two = make_suite("one"), make_suite("two")
    for suite in (one, two):
        assert suite.up().returncode == 0
    two.seaway("down")
    mixed = dataclasses.replace(two, run=one.run)
    purged = mixed.seaway("purge")
    assert purged.returncode == 1
    assert f"another suite (that of --root {one.root})" in purged.stderr
    assert f"pass --run {two.run}" in purged.stderr
    assert {row["state"] for row in one.rows().values()} == {"ready"}
    one.seaway("down")
    assert f"pass --run {two.run}" in mixed.up().stderr
    assert one.up().returncode == 0


def test_two_suites_side_by_side(make_suite: "Callable[[str], TinySuite]") -> None:
    one, two = make_suite("one"), make_suite("two")
    assert one.up().returncode == 0
    assert two.up().returncode == 0
    assert one.rows()["nats"]["pid"] != two.rows()["nats"]["pid"]
    one.seaway("down")
    assert {row["state"] for row in two.rows().values()} == {"ready"}


def test_taken_nats_port(suite: "TinySuite") -> None:
    with socket.create_server(("127.0.0.1", 0)) as squatter:
        port = squatter.getsockname()[1]
        refused = suite.up("--nats-port", str(port))
    assert refused.returncode == 1
    assert refused.stderr == (
        f"seaway: port {port} for NATS is taken by another program: stop that, or give another --nats-port\n"
    )
    assert not (suite.root / "suite.json").exists()


def test_taken_registry_port(suite: "TinySuite") -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        result = suite.up("--registry-port", str(port))
    assert result.returncode == 1
    assert f"port {port} of 127.0.0.1, for the registry, can't be had (Address already in use)" in result.stderr
    assert suite.up().returncode == 0


def test_taken_endpoint(suite: "TinySuite") -> None:
    with socket.create_server(("127.0.0.1", 0)) as squatter:
        refused = suite.up("--host", f"tcp://127.0.0.1:{squatter.getsockname()[1]}")
    assert refused.returncode == 1
    assert "can't listen on tcp://127.0.0.1:" in refused.stderr and refused.stderr.count("\n") == 1
    assert not suite.root.exists() and not suite.run.exists()


def test_missing_nats_server(suite: "TinySuite", tmp_path: Path) -> None:
    from seaway_cli.errors import CliError
    from seaway_cli.nats_server import find_program

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(shutil, "which", lambda *_, **__: None)
        with pytest.raises(CliError, match="install the Debian package nats-server"):
            find_program()


def test_outside_nats_that_is_not_there(suite: "TinySuite") -> None:
    refused = suite.up("--nats", "nats://127.0.0.1:1")
    assert refused.returncode == 1
    assert "no NATS server answers at 127.0.0.1:1" in refused.stderr
    assert not suite.root.exists()


def test_outside_nats(suite: "TinySuite", nats: Any) -> None:
    assert suite.up("--nats", nats.url).returncode == 0
    assert list(suite.rows()) == ["metadata", "scheduler"]


def test_unwritable_root(suite: "TinySuite") -> None:
    suite.root = Path("/proc/seaway/root")
    refused = suite.up()
    assert refused.returncode == 1
    assert refused.stderr.startswith("seaway: can't write to /proc/seaway/root: ")
    assert refused.stderr.count("\n") == 1
    assert not suite.run.exists()


def test_service_that_does_not_start(suite: "TinySuite") -> None:
    failed = suite.up("--node", "broken")
    assert failed.returncode == 1
    assert "scheduler does not start (exit code 1)" in failed.stderr
    assert "the disk is made of cheese" in failed.stderr
    assert suite.seaway("status").returncode == 1


def test_secrets_are_private(suite: "TinySuite") -> None:
    assert suite.up().returncode == 0
    private = [*(suite.root / "secrets").iterdir(), suite.run / "nats" / "nats.conf", suite.run / "control.sock"]
    assert len(private) == 9
    assert {stat.S_IMODE(path.stat().st_mode) for path in private} == {0o600}


def test_nodes_that_can_not_be_added(suite: "TinySuite") -> None:
    absent = suite.seaway("node", "add", "n2")
    assert absent.returncode == 1
    assert "no suite runs in" in absent.stderr
    assert suite.up("--node", "n1").returncode == 0
    own = suite.seaway("node", "add", "n1")
    assert "n1 is the node of this machine" in own.stderr
    wrong = suite.seaway("node", "add", "n.2")
    assert (wrong.returncode, "no node may be called" in wrong.stderr) == (2, True)
    assert not list((suite.root / "secrets").glob("agent.n.2*"))


def test_purge_needs_a_suite(tmp_path: Path, suite: "TinySuite") -> None:
    suite.root.mkdir(parents=True)
    (suite.root / "thesis.tex").write_text("years of work")
    refused = suite.seaway("purge")
    assert refused.returncode == 1
    assert "no suite.json" in refused.stderr
    assert (suite.root / "thesis.tex").exists()
    used = suite.up()
    assert used.returncode == 1
    assert "it holds 'thesis.tex'" in used.stderr


@pytest.fixture
def full_disk(tmp_path: Path) -> Iterator[Path]:
    """A directory on a file system without a free byte."""
    place = tmp_path / "disk"
    place.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=16k", "tmpfs", str(place)], check=True)
    try:
        with contextlib.suppress(OSError), open(place / "fill", "wb", buffering=0) as file:
            while True:
                file.write(bytes(4096))
        yield place
    finally:
        subprocess.run(["umount", str(place)], check=True)


def test_full_disk(suite: "TinySuite", full_disk: Path) -> None:
    suite.root = full_disk / "root"
    refused = suite.up()
    assert refused.returncode == 1
    assert refused.stderr == f"seaway: can't write {suite.root}/suite.json: No space left on device\n"
    assert [path.name for path in full_disk.iterdir()] == ["fill"]
    assert not suite.run.exists()
