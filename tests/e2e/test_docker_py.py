"""docker-py, used as a program would use it."""

import socket
import threading
import time
from typing import Any

import docker
import pytest
from docker.types import LogConfig, Mount, Ulimit


def test_run_gives_the_output(py: docker.DockerClient) -> None:
    assert py.containers.run("busybox", "echo hello", remove=True) == b"hello\n"
    assert py.containers.list(all=True) == []


def test_failed_run_raises_with_stderr(py: docker.DockerClient) -> None:
    with pytest.raises(docker.errors.ContainerError) as caught:
        py.containers.run("busybox", ["sh", "-c", "echo why >&2; exit 3"], remove=True)
    assert caught.value.exit_status == 3 and b"why" in caught.value.stderr


def test_unknown_image_and_container(py: docker.DockerClient) -> None:
    with pytest.raises(docker.errors.NotFound):
        py.containers.get("nothing")
    with pytest.raises(docker.errors.ImageNotFound):
        py.api.create_container("no-such-image")


def test_detached_life(py: docker.DockerClient, name: str) -> None:
    container = py.containers.run(
        "busybox", ["sh", "-c", "echo out; sleep 60"], name=name, detach=True, labels={"a": "b"}
    )
    assert container.status == "created"
    container.reload()
    assert container.status == "running" and container.labels == {"a": "b"} and container.name == name
    assert [found.id for found in py.containers.list(filters={"label": "a=b"})] == [container.id]
    container.kill("SIGKILL")
    assert container.wait() == {"StatusCode": 137}
    container.restart(timeout=0)
    container.stop(timeout=0)
    container.remove()
    with pytest.raises(docker.errors.NotFound):
        container.reload()


def test_options(py: docker.DockerClient, tmp_path: Any) -> None:
    tmp_path.chmod(0o755)
    (tmp_path / "file").write_text("mounted\n")
    output = py.containers.run(
        "busybox",
        ["sh", "-c", "cat /in/file; ulimit -n; id -u; pwd; echo $A"],
        mounts=[Mount("/in", str(tmp_path), type="bind", read_only=True)],
        ulimits=[Ulimit(name="nofile", soft=99, hard=99)],
        user="app",
        working_dir="/in",
        environment={"A": "b"},
        mem_limit="64m",
        nano_cpus=500_000_000,
        network_mode="none",
        log_config=LogConfig(type="json-file"),
        remove=True,
    )
    assert output == b"mounted\n99\n1000\n/in\nb\n"


def test_streaming_logs(py: docker.DockerClient) -> None:
    container = py.containers.run("busybox", ["sh", "-c", "for n in 1 2 3; do echo $n; sleep 0.05; done"], detach=True)
    assert b"".join(container.logs(stream=True, follow=True)) == b"1\n2\n3\n"
    assert container.logs(tail=1) == b"3\n"
    assert container.logs(stdout=False, stderr=True) == b""


def test_attach_socket_both_ways(py: docker.DockerClient) -> None:
    container = py.containers.create("busybox", "cat", stdin_open=True)
    wire = container.attach_socket(params={"stdin": 1, "stdout": 1, "stream": 1})
    container.start()
    wire._sock.sendall(b"around\n")
    wire._sock.shutdown(socket.SHUT_WR)
    frame = b""
    while len(frame) < 15:
        frame += wire._sock.recv(100)
    assert frame == b"\x01\0\0\0\0\0\0\x07around\n"
    wire.close()


def test_attach_stream_demultiplexed(py: docker.DockerClient) -> None:
    container = py.containers.create("busybox", ["sh", "-c", "echo out; sleep 0.1; echo err >&2"])
    stream = container.attach(stream=True, demux=True, stdout=True, stderr=True)
    container.start()
    assert list(stream) == [(b"out\n", None), (None, b"err\n")]


def test_events(py: docker.DockerClient, name: str) -> None:
    events = py.events(decode=True, filters={"container": name, "type": "container"})
    seen: list[str] = []
    reader = threading.Thread(target=lambda: seen.extend(_until_destroy(events)))
    reader.start()
    py.containers.run("busybox", "true", name=name).decode()
    py.containers.get(name).remove()
    reader.join(20)
    assert [action for action in seen if action != "attach"] == ["create", "start", "die", "destroy"]
    events.close()


def _until_destroy(events: Any) -> list[str]:
    seen = []
    for event in events:
        seen.append(event["Action"])
        if event["Action"] == "destroy":
            break
    return seen


def test_wait_with_a_time_out(py: docker.DockerClient) -> None:
    container = py.containers.run("busybox", ["sleep", "60"], detach=True)
    before = time.monotonic()
    with pytest.raises(Exception, match=r"(?i)timed out"):
        container.wait(timeout=0.5)
    assert time.monotonic() - before < 10


def test_ports(py: docker.DockerClient) -> None:
    container = py.containers.run("busybox", "sleep 60", detach=True, ports={"80/tcp": ("127.0.0.1", None)})
    container.reload()
    (binding,) = container.ports["80/tcp"]
    assert binding["HostIp"] == "127.0.0.1" and int(binding["HostPort"]) > 0


def test_many_at_once(py: docker.DockerClient) -> None:
    outputs: list[bytes] = []

    def run(number: int) -> None:
        outputs.append(py.containers.run("busybox", f"echo {number}", remove=True, network_mode="none"))

    threads = [threading.Thread(target=run, args=(number,)) for number in range(10)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert sorted(outputs) == [b"%d\n" % number for number in range(10)]
