"""What a client may ask of a build without BuildKit: networks, contexts from elsewhere, cancelling; other clients."""

import functools
import http.server
import json
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from e2e_rig.api import Api
from e2e_rig.classic_builds import CLASSIC, TAR, tar
from e2e_rig.compose import Project
from e2e_rig.docker_cli import DockerCli
from e2e_rig.seaway import Seaway
from e2e_rig.waits import eventually

pytestmark = pytest.mark.usefixtures("no_classic_images")


@pytest.fixture
def site(tmp_path: Path) -> Iterator[tuple[Path, str]]:
    """A directory on the web, and its address."""
    place = tmp_path / "site"
    place.mkdir()
    handler = functools.partial(_Quiet, directory=str(place))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield place, f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


class _Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *_: object) -> None:
        """Say nothing."""


def lines(body: bytes) -> list[dict[str, Any]]:
    return [json.loads(line) for line in body.splitlines() if line.strip()]


def test_its_messages(api: Api) -> None:
    reply = api.request("POST", "/build?q=0&nocache=1", tar({"Dockerfile": "FROM busybox\nRUN echo hi\n"}), TAR)
    said = lines(reply.body)
    assert reply.status == 200 and all(set(one) & {"stream", "aux"} for one in said)
    (aux,) = [one["aux"]["ID"] for one in said if "aux" in one]
    assert aux.startswith("sha256:") and f"Successfully built {aux[7:19]}\n" in [one.get("stream") for one in said]
    failed = api.request("POST", "/build", tar({"Dockerfile": "FROM busybox\nRUN exit 2\n"}), TAR)
    message = "The command '/bin/sh -c exit 2' returned a non-zero code: 2"
    assert lines(failed.body)[-1] == {"errorDetail": {"code": 2, "message": message}, "error": message}


def test_a_dockerfile_from_the_web(api: Api, site: tuple[Path, str]) -> None:
    place, url = site
    (place / "Dockerfile.txt").write_text("FROM busybox\nRUN echo from the web\n")
    (place / "context.tar").write_bytes(tar({"D": "FROM busybox\nCOPY f /\nRUN cat /f\n", "f": "in the tar\n"}))
    said = api.request("POST", f"/build?remote={quote(url)}/Dockerfile.txt").body
    assert b"from the web" in said and b"Successfully built" in said, said
    said = api.request("POST", f"/build?remote={quote(url)}/context.tar&dockerfile=D").body
    assert b"in the tar" in said and b"Successfully built" in said, said
    assert b"404" in api.request("POST", f"/build?remote={quote(url)}/nope").body
    assert api.request("POST", "/build?remote=/etc/passwd").status == 400


def test_a_git_repository(api: Api, site: tuple[Path, str], tmp_path: Path) -> None:
    place, url = site
    work = tmp_path / "work"
    (work / "sub").mkdir(parents=True)
    (work / "Dockerfile").write_text("FROM busybox\nRUN echo top\n")
    (work / "sub" / "Dockerfile").write_text("FROM busybox\nRUN echo sub\n")
    (work / "out").symlink_to("/etc")
    git = ["git", "-c", "user.name=a", "-c", "user.email=a@b", "-C", str(work)]
    for words in (["init", "-q", "-b", "main"], ["add", "."], ["commit", "-qm", "x"], ["tag", "v1"]):
        subprocess.run([*git, *words], check=True)
    subprocess.run(["git", "clone", "-q", "--bare", str(work), str(place / "r.git")], check=True)
    subprocess.run(["git", "-C", str(place / "r.git"), "update-server-info"], check=True)
    for fragment, word in (("", b"top"), ("#v1:sub", b"sub"), ("#main", b"top")):
        said = api.request("POST", f"/build?remote={quote(url + '/r.git' + fragment)}").body
        assert word in said and b"Successfully built" in said, said
    assert b"not within git root" in api.request("POST", f"/build?remote={quote(url + '/r.git#:out')}").body
    assert b"error fetching" in api.request("POST", f"/build?remote={quote(url + '/none.git')}").body


@pytest.mark.seaway_only
def test_a_build_is_cancelled_by_its_id(api: Api, engine: Seaway, name: str) -> None:
    said: list[bytes] = []
    body = tar({"Dockerfile": "FROM busybox\nRUN echo begun; sleep 1000\n"})
    path = f"/build?nocache=1&buildid={name}"
    thread = threading.Thread(target=lambda: said.append(api.request("POST", path, body, TAR).body))
    thread.start()
    builds = engine.root / "agent" / engine.node / "builds" / "w"
    eventually(lambda: [*builds.glob("*/crun/*")], "the step", 30)
    assert api.request("POST", f"/build/cancel?id={name}").status == 200
    thread.join(30)
    assert lines(said[0])[-1]["error"] == "the build was cancelled"
    eventually(lambda: not [*builds.iterdir()], "nothing left of it", 30)
    assert api.request("POST", "/build/cancel").status == 400


def test_networks_of_steps(cli: DockerCli, api: Api, name: str) -> None:
    cli("run", "-d", "--name", name, "busybox", "sleep", "100")
    own = cli("exec", name, "ip", "-4", "-o", "addr", "show", "eth0").out.split()[3]
    body = tar({"Dockerfile": "FROM busybox\nRUN ip -4 -o addr\n"})
    joined = api.request("POST", f"/build?nocache=1&networkmode=container:{name}", body, TAR).body
    assert own.encode() in joined, joined
    alone = api.request("POST", "/build?nocache=1&networkmode=none", body, TAR).body
    assert b"eth0" not in alone and b"Successfully built" in alone, alone
    assert b"world0" in api.request("POST", "/build?nocache=1&networkmode=host", body, TAR).body
    assert b"not found" in api.request("POST", "/build?nocache=1&networkmode=nope", body, TAR).body


def test_compose_builds(compose: Project, name: str, tmp_path: Path) -> None:
    (tmp_path / "Dockerfile").write_text("FROM busybox\nARG WHO\nRUN echo $WHO > /who\nCMD cat /who\n")
    (tmp_path / "compose.yaml").write_text(
        f"services:\n  a:\n    image: {name}\n    network_mode: none\n    build:\n      context: .\n"
        "      args: {WHO: composed}\n"
    )
    done = compose.try_("up", "--build", "--no-log-prefix", **CLASSIC)
    assert done.code == 0 and "composed" in done.out, done.err


def test_testcontainers_builds(cli: DockerCli, tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DOCKER_HOST", cli.host)
    monkeypatch.setenv("TESTCONTAINERS_RYUK_DISABLED", "true")
    from testcontainers.core.container import DockerContainer
    from testcontainers.core.image import DockerImage

    (tmp_path / "Dockerfile").write_text("FROM busybox\nCMD echo built by a test; sleep 100\n")
    with DockerImage(path=tmp_path, tag=f"{name}:1") as image, DockerContainer(str(image)) as container:
        eventually(lambda: b"built by a test" in container.get_logs()[0], "its words", 30)
