"""testcontainers with applications of several containers: its networks, and its module for compose."""

import subprocess
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import docker
import pytest
from e2e_rig.api import Api
from e2e_rig.docker_cli import DockerCli
from e2e_rig.engine import Engine
from testcontainers.compose import DockerCompose
from testcontainers.core.config import testcontainers_config
from testcontainers.core.container import DockerContainer
from testcontainers.core.network import Network
from testcontainers.core.wait_strategies import HealthcheckWaitStrategy, LogMessageWaitStrategy

_FILE = """
name: testcontainers
services:
  web:
    image: busybox
    command: [sh, -c, "echo visited >> /data/index.html; echo serving; exec httpd -f -p 80 -h /data"]
    ports: ["127.0.0.1::80"]
    volumes: ["data:/data"]
    stop_signal: SIGKILL
    healthcheck: {test: wget -q -O - 127.0.0.1, interval: 100ms, timeout: 5s}
  client:
    image: busybox
    command: [sleep, "600"]
    environment: {WORD: "${WORD:-none}"}
    depends_on: {web: {condition: service_healthy}}
    stop_signal: SIGKILL
  job:
    image: busybox
    command: [sh, -c, "echo done >&2; exit 3"]
    profiles: [jobs]
volumes:
  data: {}
"""


@pytest.fixture(autouse=True)
def target(engine: Engine, docker_config: Path, no_containers: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """Both libraries find the engine by the environment, as in a user's shell."""
    monkeypatch.setenv("DOCKER_HOST", engine.host)
    monkeypatch.setenv("DOCKER_CONFIG", str(docker_config))
    monkeypatch.setattr(testcontainers_config, "_ryuk_disabled", True)
    monkeypatch.setattr(testcontainers_config, "sleep_time", 0.05)


@pytest.fixture
def context(tmp_path: Path, cli: DockerCli, api: Api) -> Iterator[Path]:
    """The directory of an application, of which nothing is left after the test."""
    (tmp_path / "compose.yaml").write_text(_FILE)
    yield tmp_path
    assert api.containers() == []
    label = "label=com.docker.compose.project=testcontainers"
    assert cli("network", "ls", "-q", "--filter", label).out == ""
    assert cli("volume", "ls", "-q", "--filter", label).out == ""


def page(compose: DockerCompose) -> bytes:
    """What the web server says at its published port."""
    host, port = compose.get_service_host_and_port("web", 80)
    with urllib.request.urlopen(f"http://{host}:{port}/", timeout=5) as reply:
        return bytes(reply.read())


def test_an_application_is_up_inside_the_block(context: Path) -> None:
    with DockerCompose(context) as compose:
        assert page(compose) == b"visited\n"
        assert compose.exec_in_container(["wget", "-q", "-O", "-", "http://web/"], "client") == ("visited\n", "", 0)
        assert "serving" in compose.get_logs("web")[0]
        web = compose.get_container("web")
        assert (web.State, web.Health) == ("running", "healthy")
        info = web.get_container_info()
        assert info is not None and info.Config is not None and info.Config.Image == "busybox"
        with pytest.raises(subprocess.CalledProcessError) as caught:
            compose.exec_in_container(["sh", "-c", "exit 5"], "client")
        assert caught.value.returncode == 5


def test_volumes_are_kept_if_asked(context: Path, cli: DockerCli) -> None:
    with DockerCompose(context, keep_volumes=True) as compose:
        assert page(compose) == b"visited\n"
    with DockerCompose(context) as compose:  # it has been stopped, not removed
        assert page(compose) == b"visited\nvisited\n"


def test_wait_strategies_environment_and_services(context: Path) -> None:
    (context / "own.env").write_text("WORD=heard\n")
    compose = DockerCompose(context, env_file="own.env", wait=False, services=["client", "web"])
    with compose.waiting_for({"web": LogMessageWaitStrategy("serving"), "client": LogMessageWaitStrategy("")}):
        assert compose.exec_in_container(["sh", "-c", "echo $WORD"], "client")[0] == "heard\n"
        assert sorted(str(one.Service) for one in compose.get_containers()) == ["client", "web"]


def test_a_job_that_fails_is_told(context: Path) -> None:
    compose = DockerCompose(context, profiles=["jobs"])
    with pytest.raises(subprocess.CalledProcessError) as caught, compose:
        raise AssertionError("a service has ended with 3")
    assert caught.value.returncode == 1 and b"exited (3)" in caught.value.stderr


def test_containers_in_a_network_of_their_own() -> None:
    serve = ["sh", "-c", "echo hello > index.html; exec httpd -f -p 80"]
    check = {"test": ["CMD", "wget", "-q", "-O", "-", "127.0.0.1"], "interval": 100_000_000, "timeout": 5_000_000_000}
    with Network() as network:
        server = DockerContainer("busybox").with_command(serve).with_network(network).with_network_aliases("shop")
        with server.with_kwargs(healthcheck=check).waiting_for(HealthcheckWaitStrategy()):
            client = DockerContainer("busybox").with_command(["wget", "-q", "-O", "-", "http://shop/"])
            with client.with_network(network):
                assert client.wait() == 0
                assert client.get_logs()[0] == b"hello\n"
        identifier = str(network.id)
    with pytest.raises(docker.errors.NotFound):
        docker.from_env().networks.get(identifier)
