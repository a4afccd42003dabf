"""The real Traefik finds containers by its Docker provider, follows their events, and leads requests to them."""

import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest
from e2e_rig.docker_cli import DockerCli
from e2e_rig.engine import Daemon, Engine
from e2e_rig.prometheus import fetch
from e2e_rig.waits import eventually

from seaway_testing.ports import free_port

_FETCHED: Final = "/var/cache/seaway-traefik/bin/traefik"
_TRAEFIK: Final = _FETCHED if os.access(_FETCHED, os.X_OK) else shutil.which("traefik")
_PAGE: Final = 'mkdir /www; echo "page of $HOSTNAME" >/www/index.html; exec httpd -f -p 8080 -h /www'

pytestmark = pytest.mark.skipif(_TRAEFIK is None, reason="no traefik here: ./dev test fetches it")


class Proxy:
    """A running Traefik."""

    def __init__(self, url: str) -> None:
        self._url = url

    def page(self, host: str) -> str:
        """What a browser gets of that host; empty while nothing answers."""
        try:
            status, body = fetch(f"{self._url}/", Host=host)
        except OSError:
            return ""
        return body.strip() if status == 200 else ""

    def answers(self) -> bool:
        """Whether it serves at all."""
        try:
            return bool(fetch(f"{self._url}/"))
        except OSError:
            return False


@pytest.fixture
def proxy(engine: Engine, tmp_path: Path) -> Iterator[Proxy]:
    """One that listens to the engine; nothing is asked of the network."""
    address = f"127.0.0.1:{free_port()}"
    words = [str(_TRAEFIK), "--global.checknewversion=false", "--global.sendanonymoususage=false", "--log.level=DEBUG"]
    words += [f"--entrypoints.web.address={address}", f"--providers.docker.endpoint={engine.host}"]
    words += ["--providers.docker.exposedbydefault=false"]
    daemon = Daemon(words, tmp_path / "traefik.log", {**os.environ, "HOME": str(tmp_path)})
    made = Proxy(f"http://{address}")
    try:
        daemon.until(made.answers, "Traefik", 60)
        yield made
    finally:
        daemon.stop()


def _serve(cli: DockerCli, name: str, *more: str) -> None:
    rule = f"traefik.http.routers.{name}.rule=Host(`{name}.test`)"
    labels = ["--label", "traefik.enable=true", "--label", rule]
    cli(
        "run",
        "-d",
        "--name",
        name,
        "--hostname",
        name,
        "--expose",
        "8080",
        *labels,
        *more,
        "busybox",
        "sh",
        "-c",
        _PAGE,
    )


def test_traefik_follows_containers(proxy: Proxy, cli: DockerCli) -> None:
    _serve(cli, "before")
    eventually(lambda: proxy.page("before.test") == "page of before", "a page of a container that runs", 60)
    cli("run", "-d", "--name", "hidden", "--expose", "8080", "busybox", "sh", "-c", _PAGE)
    _serve(cli, "later")
    eventually(lambda: proxy.page("later.test") == "page of later", "a page of one that began later", 60)
    assert proxy.page("hidden.test") == ""
    cli("rm", "-f", "before")
    eventually(lambda: not proxy.page("before.test"), "the end of a page with its container", 60)
    assert proxy.page("later.test") == "page of later"
