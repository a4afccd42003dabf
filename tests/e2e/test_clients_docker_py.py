"""docker-py where it is most exacting: streams, exec, archives, statistics, events beside commands."""

import io
import json
import tarfile
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import docker
import pytest
from docker.models.containers import Container
from e2e_rig.waits import eventually


def sleeper(py: docker.DockerClient, **more: Any) -> Container:
    """A container that runs on."""
    return py.containers.run("busybox", ["sleep", "60"], detach=True, network_mode="none", **more)


def tar_of(**files: bytes) -> bytes:
    """An archive of plain files."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for name, data in files.items():
            entry = tarfile.TarInfo(name)
            entry.size, entry.mode = len(data), 0o600
            archive.addfile(entry, io.BytesIO(data))
    return buffer.getvalue()


def test_a_long_log_is_followed_whole(py: docker.DockerClient) -> None:
    container = py.containers.run("busybox", ["seq", "1", "30000"], detach=True, network_mode="none")
    data = b"".join(container.logs(stream=True, follow=True))
    assert data == b"".join(b"%d\n" % number for number in range(1, 30001))


def test_logs_since_until_tail_and_timestamps(py: docker.DockerClient) -> None:
    container = py.containers.run(
        "busybox", ["sh", "-c", "echo a; sleep 1.2; echo b"], detach=True, network_mode="none"
    )
    container.wait()
    stamped = container.logs(timestamps=True).splitlines()
    assert [line.split(b" ")[1] for line in stamped] == [b"a", b"b"]
    later = float(stamped[1].split(b" ")[0].decode()[17:-1])
    assert 0 <= later < 61
    assert container.logs(tail=1) == b"b\n" and container.logs(since=1) == b"a\nb\n" and container.logs(until=1) == b""


def test_attach_stream_while_it_runs(py: docker.DockerClient) -> None:
    container = py.containers.run(
        "busybox", ["sh", "-c", "echo early; read line; echo $line"], detach=True, stdin_open=True, network_mode="none"
    )
    eventually(lambda: container.logs() == b"early\n", "the first line")
    stream = container.attach(stream=True)
    wire = container.attach_socket(params={"stdin": 1, "stream": 1})
    wire._sock.sendall(b"late\n")
    assert b"".join(stream) == b"late\n"
    wire.close()


def test_events_since_and_until_are_finite(py: docker.DockerClient, name: str) -> None:
    container = py.containers.run("busybox", "true", name=name, detach=True, network_mode="none")
    container.wait()
    died = container.attrs["Created"]
    container.remove()
    assert died
    events = py.events(since=1, until=4_000_000_000, decode=True, filters={"container": name})
    seen = []
    for event in events:
        seen.append(event["Action"])
        if event["Action"] == "destroy":
            events.close()
            break
    assert seen == ["create", "start", "die", "destroy"]


def test_low_level_wait_conditions(py: docker.DockerClient) -> None:
    container = py.containers.create("busybox", ["sh", "-c", "exit 2"], network_mode="none")
    results: list[dict[str, Any]] = []
    began = threading.Event()

    def wait() -> None:
        began.set()
        results.append(container.wait(condition="removed"))

    waiter = threading.Thread(target=wait)
    waiter.start()
    began.wait()
    container.start()
    assert container.wait()["StatusCode"] == 2
    container.remove()
    waiter.join(20)
    assert [result["StatusCode"] for result in results] in ([2], [0])  # 0 where the removal was asked for too early


def test_much_exec_run_at_once(py: docker.DockerClient) -> None:
    """Threads that hinder one another read late."""
    container = sleeper(py)
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(lambda _: container.exec_run(["echo", "said"]), range(200)))
    assert found == [(0, b"said\n")] * 200


def test_exec_run(py: docker.DockerClient) -> None:
    container = sleeper(py)
    assert container.exec_run(["sh", "-c", "echo out; exit 3"]) == (3, b"out\n")
    assert container.exec_run(["sh", "-c", "echo out; echo err >&2"], demux=True) == (0, (b"out\n", b"err\n"))
    assert container.exec_run("id -un", user="app").output == b"app\n"
    assert container.exec_run("pwd", workdir="/tmp").output == b"/tmp\n"
    assert container.exec_run(["sh", "-c", "echo $A"], environment={"A": "b"}).output == b"b\n"
    assert container.exec_run("nosuchprogram").exit_code in (126, 127)


def test_exec_streams(py: docker.DockerClient) -> None:
    container = sleeper(py)
    _, output = container.exec_run(["sh", "-c", "for n in 1 2 3; do echo $n; sleep 0.05; done"], stream=True)
    assert b"".join(output) == b"1\n2\n3\n"
    _, wire = container.exec_run("cat", stdin=True, socket=True)
    wire._sock.sendall(b"around\n")
    data = b""
    while not data.endswith(b"around\n"):
        data += wire._sock.recv(100)
    assert data == b"\x01\0\0\0\0\0\0\x07around\n"
    wire.close()


def test_exec_detached_and_inspected(py: docker.DockerClient) -> None:
    container = sleeper(py)
    identifier = py.api.exec_create(container.id, ["sleep", "60"])["Id"]
    py.api.exec_start(identifier, detach=True)
    shown = py.api.exec_inspect(identifier)
    assert shown["Running"] and shown["ContainerID"] == container.id and shown["ExitCode"] is None
    container.reload()
    assert container.attrs["ExecIDs"] == [identifier]


def test_archives(py: docker.DockerClient) -> None:
    container = sleeper(py)
    assert container.put_archive("/tmp", tar_of(file=b"words", other=b"more"))
    chunks, stat = container.get_archive("/tmp/file")
    assert stat["name"] == "file" and stat["size"] == 5
    with tarfile.open(fileobj=io.BytesIO(b"".join(chunks))) as archive:
        member = archive.extractfile("file")
        assert member is not None and member.read() == b"words"
    with pytest.raises(docker.errors.NotFound):
        container.get_archive("/no/such")
    changed = {change["Path"]: change["Kind"] for change in container.diff()}
    assert changed["/tmp/file"] == changed["/tmp/other"] == 1


def test_export_and_commit(py: docker.DockerClient, name: str) -> None:
    container = py.containers.run("busybox", ["sh", "-c", "echo made > /made"], detach=True, network_mode="none")
    container.wait()
    with tarfile.open(fileobj=io.BytesIO(b"".join(container.export()))) as archive:
        member = archive.extractfile("made")
        assert member is not None and member.read() == b"made\n"
    image = container.commit(repository=name, tag="1", changes=['CMD ["cat", "/made"]'])
    try:
        assert py.containers.run(f"{name}:1", remove=True, network_mode="none") == b"made\n"
    finally:
        py.images.remove(image.id, force=True)


def test_stats(py: docker.DockerClient) -> None:
    container = sleeper(py, mem_limit="64m")
    sample = container.stats(stream=False)
    assert sample["memory_stats"]["limit"] == 64 << 20 and sample["pids_stats"]["current"] == 1
    assert sample["precpu_stats"]["cpu_usage"]["total_usage"] > 0
    stream = container.stats(decode=True, stream=True)
    assert [next(stream)["id"], next(stream)["id"]] == [container.id] * 2


def test_top_rename_update(py: docker.DockerClient, name: str) -> None:
    container = sleeper(py)
    assert container.top(ps_args="-o pid,args")["Processes"][0][1] == "sleep 60"
    container.rename(name)
    assert py.containers.get(name).id == container.id
    container.update(mem_limit="32m", memswap_limit="64m")
    container.reload()
    assert container.attrs["HostConfig"]["Memory"] == 32 << 20


def test_health(py: docker.DockerClient) -> None:
    check = {"test": ["CMD", "true"], "interval": 100_000_000, "timeout": 2_000_000_000, "retries": 1}
    container = sleeper(py, healthcheck=check)
    for event in py.events(decode=True, since=1, filters={"container": container.id, "event": "health_status"}):
        assert event["Action"] == "health_status: healthy", json.dumps(event)
        break
    container.reload()
    assert container.health == "healthy"


def test_prune(py: docker.DockerClient) -> None:
    container = py.containers.run("busybox", "true", detach=True, labels={"prune": "me"}, network_mode="none")
    container.wait()
    kept = sleeper(py, labels={"prune": "me"})
    assert py.containers.prune(filters={"label": "prune=me"})["ContainersDeleted"] == [container.id]
    kept.reload()
    assert kept.status == "running"
