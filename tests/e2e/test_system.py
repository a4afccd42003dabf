"""version, info, ping; headers and versions of the API."""

import platform

import docker
import pytest
from e2e_rig.api import Api
from e2e_rig.docker_cli import DockerCli
from e2e_rig.seaway import Seaway


def test_cli_version_shows_both_sides(cli: DockerCli) -> None:
    shown = cli("version").out
    assert "Client" in shown and "Server" in shown
    assert cli("version", "--format", "{{.Server.Os}}/{{.Server.Arch}}").out == "linux/amd64"


def test_version_names_engine_kernel_and_api_range(api: Api) -> None:
    version = api.get("/version")
    assert version["KernelVersion"] == platform.release()
    assert version["Os"] == "linux" and version["MinAPIVersion"] == "1.24"
    assert tuple(map(int, version["ApiVersion"].split("."))) >= (1, 45)
    assert version["Components"][0]["Version"] == version["Version"]


def test_info_counts_containers(cli: DockerCli) -> None:
    cli("run", "-d", "busybox", "sleep", "60")
    cli("create", "busybox")
    shown = cli("info", "--format", "{{.Containers}} {{.ContainersRunning}} {{.ContainersStopped}} {{.OSType}}").out
    assert shown == "2 1 1 linux"


def test_info_tells_of_the_machine(api: Api) -> None:
    info = api.get("/info")
    with open("/proc/meminfo") as meminfo:
        total = int(meminfo.readline().split()[1]) * 1024
    assert info["MemTotal"] == total
    assert info["KernelVersion"] == platform.release()
    assert info["NCPU"] >= 1 and info["Name"] and info["ID"]
    assert "bridge" in info["Plugins"]["Network"]
    assert info["CgroupVersion"] in ("1", "2")
    assert any("seccomp" in option for option in info["SecurityOptions"])


@pytest.mark.seaway_only
def test_a_port_without_tls_is_warned_of(engine: Seaway, cli: DockerCli) -> None:
    shown = cli.try_("info")
    said = f"[DEPRECATION NOTICE]: API is accessible on http://{engine.tcp} without encryption."
    assert said in shown.out + shown.err
    assert "equivalent to root access on the host" in shown.out + shown.err
    warning = next(text for text in engine.messages("api", "warning") if said in text)  # once for each start
    assert f"{said} Access to the remote API is equivalent to root access" in warning


@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_ping_carries_what_clients_negotiate_with(api: Api, method: str) -> None:
    reply = api.request(method, "/_ping")
    assert reply.status == 200
    assert reply.body == (b"OK" if method == "GET" else b"")
    assert reply.headers["api-version"] >= "1.45"
    assert reply.headers["docker-experimental"] == "false"
    assert reply.headers["ostype"] == "linux"
    assert reply.headers["builder-version"]
    assert reply.headers["swarm"] == "inactive"
    assert "no-cache" in reply.headers["cache-control"]
    assert reply.headers["server"]


def test_every_reply_names_api_version_and_server(api: Api) -> None:
    for path in ("/v1.45/containers/json", "/v1.45/containers/nothing/json"):
        headers = api.request("GET", path).headers
        assert headers["api-version"] >= "1.45"
        assert headers["ostype"] == "linux" and headers["docker-experimental"] == "false"
        assert "(linux)" in headers["server"]


@pytest.mark.parametrize("version", ["1.24", "1.30", "1.41", "1.45"])
def test_known_versions_work_in_the_path(api: Api, version: str) -> None:
    assert api.request("GET", f"/v{version}/containers/json").json() == []


@pytest.mark.seaway_only
def test_newer_version_works_in_the_path(api: Api) -> None:
    assert api.request("GET", "/v1.48/containers/json").json() == []


def test_too_new_version_is_refused(api: Api) -> None:
    reply = api.request("GET", "/v1.99/containers/json")
    assert reply.status == 400
    assert reply.message.startswith("client version 1.99 is too new. Maximum supported API version is ")


def test_too_old_version_is_refused(api: Api) -> None:
    reply = api.request("GET", "/v1.12/containers/json")
    assert reply.status == 400
    assert "client version 1.12 is too old. Minimum supported API version is 1.24" in reply.message


@pytest.mark.parametrize("path", ["/nothing", "/v1.45/nothing", "/v1.45/containers/a/b/c/d", "/v1.45/_nothing"])
def test_unknown_route_is_page_not_found(api: Api, path: str) -> None:
    reply = api.request("GET", path)
    assert (reply.status, reply.json()) == (404, {"message": "page not found"})


def test_known_route_with_other_method_is_page_not_found(api: Api) -> None:
    reply = api.request("PATCH", "/v1.45/containers/json")
    assert (reply.status, reply.json()) == (404, {"message": "page not found"})


def test_docker_py_negotiates(py: docker.DockerClient) -> None:
    assert py.ping() is True
    assert py.version()["Os"] == "linux"
    assert py.info()["Containers"] == 0


def test_cli_with_older_api_version(cli: DockerCli) -> None:
    assert cli("ps", "-q", DOCKER_API_VERSION="1.30").out == ""
    assert cli("run", "--rm", "busybox", "echo", "old", DOCKER_API_VERSION="1.30").out == "old"
