"""The applications of docs/examples, while each service is killed in the middle of `docker compose up` and `down`.

tests/e2e/test_examples.py is the short form.
"""

import random
import re
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from chaos_rig.scale import FULL, dice
from chaos_rig.suite import ChaosSuite, Suites
from e2e_rig.docker_cli import DockerCli, Result
from e2e_rig.examples import NAMES, PATIENCE_S, Example, make_images, remove_images
from e2e_rig.waits import eventually

pytestmark = [
    pytest.mark.root,
    pytest.mark.timeout(1800),
    pytest.mark.skipif(not FULL, reason="tests/e2e/test_examples.py is its short form"),
]
_SERVICES = ("agent", "api", "image", "metadata", "nats", "scheduler")
_LATEST_KILL_S = 3.0


@pytest.fixture(scope="module", autouse=True)
def no_images(suites: Suites, tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """The next module finds a suite without the images."""
    yield
    remove_images(DockerCli(suites.current().host, tmp_path_factory.mktemp("cli")))


@pytest.fixture
def cli(suite: ChaosSuite, tmp_path: Path) -> Iterator[DockerCli]:
    """The docker command, with the images of the examples in the suite."""
    docker = DockerCli(suite.host, tmp_path)
    if docker("images", "-q", "example/prometheus").out == "":
        make_images(docker)
    docker("volume", "create", "wiki-backups")
    yield docker
    docker("volume", "rm", "wiki-backups")


# --- what users keep in the applications, a line each


def keep(example: Example, line: str) -> None:
    """Give it something to keep."""
    if example.name == "notes":
        example.asked("/", line, Authorization="Bearer change-me")
    elif example.name == "wiki":
        example.asked(f"/{line}", line, "PUT")
    elif example.name == "queue":
        job = example.asked("/", "1000")
        assert "168 primes" in example.asked(f"/{job}")
        (example.directory / f"job.{line}").write_text(job)


def kept(example: Example, lines: list[str]) -> bool:
    """Whether it still has all of them; of counter and monitor, whether they know of earlier times."""
    if example.name == "counter":
        return int(re.findall(r": ([0-9]+),", example.asked())[0]) > len(lines)
    if example.name == "monitor":
        query = "max(last_over_time(shop_sold_total[1h]))%20>%200"
        return '"value"' in example.asked(f"/api/v1/query?query={query}")
    if example.name == "queue":
        jobs = [(example.directory / f"job.{line}").read_text() for line in lines]
        return all("168 primes" in example.asked(f"/{job}") for job in jobs)
    return set(lines) <= set(example.asked().splitlines())


# --- killed meanwhile


def killed_in(suite: ChaosSuite, service: str, chance: random.Random, command: Callable[[], Result]) -> Result:
    """What a command of the user's gives while a service is killed; it may have ended before."""
    with ThreadPoolExecutor(1) as pool:
        running = pool.submit(command)
        time.sleep(chance.uniform(0, _LATEST_KILL_S))
        old = suite.kill(service)
        result = running.result()
    suite.restarted(service, old)
    suite.whole()
    return result


@pytest.mark.parametrize("name", NAMES)
def test_up_and_down_while_services_die(suite: ChaosSuite, cli: DockerCli, tmp_path: Path, name: str) -> None:
    chance = dice(f"applications/{name}")
    example = Example(cli, name, tmp_path, DOCKER_SOCKET=str(suite.socket))
    example.up()
    lines: list[str] = []
    for number, service in enumerate(chance.sample(_SERVICES, len(_SERVICES))):
        lines.append(f"line{number}")
        keep(example, lines[-1])
        killed_in(suite, service, chance, lambda: example.try_("down", "--timeout", "5"))
        eventually(lambda: example.try_("down", "--timeout", "5").code == 0, "`docker compose down`", PATIENCE_S)
        assert example.ids() == {}
        killed_in(suite, service, chance, lambda: example.try_("up", "--detach", "--wait"))
        example.up_at_last()
        eventually(lambda: kept(example, lines), f"the data after a kill of {service}", PATIENCE_S)
        assert len(example.ids()) == len(set(example.ids().values()))
    example.compose("down", "--volumes", "--timeout", "5")
    assert example.left() == []
