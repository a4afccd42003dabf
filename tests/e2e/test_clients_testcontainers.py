"""testcontainers, as a project's tests use it: a server from a local image, waited for, used, and gone at the end."""

import os
import socket
import subprocess
import sys
import textwrap
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import docker
import pytest
from e2e_rig import images
from e2e_rig.engine import Engine
from e2e_rig.waits import eventually
from testcontainers.core.config import testcontainers_config
from testcontainers.core.container import DockerContainer
from testcontainers.core.wait_strategies import (
    ContainerStatusWaitStrategy,
    ExecWaitStrategy,
    HealthcheckWaitStrategy,
    HttpWaitStrategy,
    LogMessageWaitStrategy,
    PortWaitStrategy,
)

# What testcontainers asks of its reaper: it says "Started!", takes filters on port 8080, acknowledges each, and removes
# what bears them when the connection ends. This one acknowledges only if it was given the engine's socket.
_REAPER = """#!/bin/sh
test -S /var/run/docker.sock || exit 1
echo "reaper Started!"
exec nc -ll -p 8080 -e /bin/acknowledge
"""
_ACKNOWLEDGE = """#!/bin/sh
while read line; do echo "asked $line" >&2; echo ACK; done
"""


@pytest.fixture(scope="module", autouse=True)
def local_images(engine: Engine) -> Iterator[None]:
    """A web server, a server that talks, one with a health check, and a reaper."""
    web = images.Layer()
    web.directory("www")
    web.file("www/index.html", b"hello\n")
    reaper = images.Layer()
    reaper.file("bin/reaper", _REAPER.encode(), 0o755)
    reaper.file("bin/acknowledge", _ACKNOWLEDGE.encode(), 0o755)
    base = images.busybox_layer()
    serve = ["httpd", "-f", "-p", "8080", "-h", "/www"]
    check = {"Test": ["CMD-SHELL", "wget -q -O - 127.0.0.1:8080"], "Interval": 100_000_000, "Timeout": 2_000_000_000}
    for layers, config, tag in (
        ([base, web.bytes()], {"Cmd": serve, "ExposedPorts": {"8080/tcp": {}}}, "web:1"),
        ([base, web.bytes()], {"Cmd": serve, "Healthcheck": check}, "checked:1"),
        ([base, reaper.bytes()], {"Cmd": ["/bin/reaper"], "ExposedPorts": {"8080/tcp": {}}}, "reaper:1"),
    ):
        archive = images.archive(layers, config, [tag])
        reply = engine.api.request("POST", "/images/load?quiet=1", archive, {"Content-Type": "application/x-tar"})
        assert reply.status == 200, reply
    yield
    for tag in ("web:1", "checked:1", "reaper:1"):
        reply = engine.api.request("DELETE", f"/images/{tag}")
        assert reply.status == 200, reply


@pytest.fixture(autouse=True)
def target(engine: Engine, no_containers: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """testcontainers finds the engine by the environment, as in a user's shell."""
    monkeypatch.setenv("DOCKER_HOST", engine.host)
    monkeypatch.setattr(testcontainers_config, "_ryuk_disabled", True)
    monkeypatch.setattr(testcontainers_config, "sleep_time", 0.05)


def url(container: DockerContainer) -> str:
    """Where its port is published."""
    return f"http://{container.get_container_host_ip()}:{container.get_exposed_port(8080)}"


def fetch(address: str) -> bytes:
    """The body."""
    with urllib.request.urlopen(address, timeout=5) as reply:
        return bytes(reply.read())


def test_a_web_server_is_waited_for_and_used() -> None:
    server = DockerContainer("web:1").with_exposed_ports(8080).waiting_for(HttpWaitStrategy(8080).for_status_code(200))
    with server:
        assert fetch(f"{url(server)}/index.html") == b"hello\n"
        identifier = server.get_wrapped_container().id
    with pytest.raises(docker.errors.NotFound):
        docker.from_env().containers.get(identifier)


def test_waiting_for_a_port_a_status_and_a_word_in_the_log() -> None:
    with DockerContainer("web:1").with_exposed_ports(8080).waiting_for(PortWaitStrategy(8080)) as server:
        assert fetch(f"{url(server)}/index.html") == b"hello\n"
    with DockerContainer("web:1").waiting_for(ContainerStatusWaitStrategy()) as server:
        assert server.status == "running"
    talker = DockerContainer("busybox").with_command(["sh", "-c", "sleep 0.1; echo ready to serve; sleep 60"])
    with talker.waiting_for(LogMessageWaitStrategy("ready to serve")):
        assert talker.get_logs() == (b"ready to serve\n", b"")


def test_environment_volumes_tmpfs_and_names(tmp_path: Path, name: str) -> None:
    tmp_path.chmod(0o755)
    (tmp_path / "file").write_text("mounted\n")
    container = (
        DockerContainer("busybox")
        .with_name(name)
        .with_env("A", "b")
        .with_volume_mapping(tmp_path, "/in")
        .with_tmpfs_mount("/scratch", "size=1m")
        .with_command(["sh", "-c", "cat /in/file; echo $A; grep -c ' /scratch tmpfs' /proc/mounts"])
        .with_kwargs(network_mode="none")
    )
    with container:
        assert container.wait() == 0
        assert container.get_logs() == (b"mounted\nb\n1\n", b"")
        assert docker.from_env().containers.get(name).id == container.get_wrapped_container().id


def test_two_servers_side_by_side() -> None:
    with (
        DockerContainer("web:1")
        .with_exposed_ports(8080)
        .waiting_for(HttpWaitStrategy(8080).for_status_code(404)) as one,
        DockerContainer("web:1")
        .with_exposed_ports(8080)
        .waiting_for(HttpWaitStrategy(8080).for_status_code(404)) as two,
    ):
        assert url(one) != url(two)
        assert fetch(f"{url(one)}/index.html") == fetch(f"{url(two)}/index.html") == b"hello\n"


def test_exec_and_files(tmp_path: Path) -> None:
    server = DockerContainer("web:1").with_exposed_ports(8080).waiting_for(ExecWaitStrategy(["test", "-d", "/www"]))
    server.with_copy_into_container(b"copied\n", "/www/copied.html", 0o644)
    with server:
        assert server.exec("cat /www/index.html") == (0, b"hello\n")
        assert server.exec(["sh", "-c", "exit 4"]).exit_code == 4
        assert fetch(f"{url(server)}/copied.html") == b"copied\n"
        server.copy_from_container("/www/index.html", tmp_path / "out")
        assert (tmp_path / "out").read_bytes() == b"hello\n"


def test_a_health_check_is_waited_for() -> None:
    with DockerContainer("checked:1").waiting_for(HealthcheckWaitStrategy()) as server:
        assert docker.from_env().containers.get(server.get_wrapped_container().id).health == "healthy"


def test_the_reaper_gets_the_engines_socket(engine: Engine, tmp_path: Path) -> None:
    """In a process of its own: the reaper is one per process and ends with it."""
    program = tmp_path / "program.py"
    program.write_text(
        textwrap.dedent("""
            from testcontainers.core.container import DockerContainer, Reaper
            with DockerContainer("busybox").with_command("sleep 60") as container:
                assert container.get_wrapped_container().attrs["HostConfig"]["Binds"] is None
                print(Reaper._container.get_wrapped_container().logs().decode())
            Reaper.delete_instance()
        """)
    )
    environment = os.environ | {
        "DOCKER_HOST": engine.host,
        "RYUK_CONTAINER_IMAGE": "reaper:1",
        "TESTCONTAINERS_DOCKER_SOCKET_OVERRIDE": str(engine.socket),
        "TESTCONTAINERS_RYUK_DISABLED": "false",
        "TC_POOLING_INTERVAL": "0.05",
    }
    done = subprocess.run([sys.executable, program], env=environment, capture_output=True, text=True, timeout=100)
    assert done.returncode == 0, done.stderr
    assert "reaper Started!" in done.stdout
    eventually(lambda: engine.api.containers() == [], "the end of the reaper")


def test_a_published_port_is_closed_afterwards() -> None:
    with DockerContainer("web:1").with_exposed_ports(8080).waiting_for(PortWaitStrategy(8080)) as server:
        address = (server.get_container_host_ip(), int(server.get_exposed_port(8080)))
    with pytest.raises(OSError):
        socket.create_connection(address, 2)
