"""One engine, one registry and one small world for all end-to-end tests.

`SEAWAY_E2E_TARGET=dockerd` runs them against Docker itself, which proves the tests; the default is Seaway.
"""

import os
import random
import shutil
import sys
import tempfile
from collections.abc import Generator, Iterator
from pathlib import Path

import docker
import pytest

sys.path.insert(0, str(Path(__file__).parent))

from e2e_rig import census, images
from e2e_rig.api import Api
from e2e_rig.buildkit_fixtures import buildkit_place, buildkit_suite, buildkitd, buildx, no_built_images  # noqa: F401
from e2e_rig.classic_builds import no_classic_images  # noqa: F401
from e2e_rig.compose import Project
from e2e_rig.docker_cli import DockerCli
from e2e_rig.dockerd import Dockerd
from e2e_rig.engine import Engine
from e2e_rig.registry import Registry
from e2e_rig.seaway import Seaway
from e2e_rig.waits import eventually
from e2e_rig.world import World

TARGET = os.environ.get("SEAWAY_E2E_TARGET", "seaway")
_HERE = Path(__file__).parent
_world = pytest.StashKey[World]()
_SETTLED_S = 35  # idle connections to a registry are closed after 15 s to 30 s
_NEEDED = ("docker", "docker-registry", "skopeo", "ip", "nft", "unshare", "setpriv", "busybox")


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "seaway_only: about Seaway itself; skipped against dockerd")
    config.addinivalue_line("markers", "own_engines: makes engines of its own; the shared one is not looked at")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if _HERE in item.path.parents and TARGET != "seaway" and item.get_closest_marker("seaway_only"):
            item.add_marker(pytest.mark.skip(reason=f"the target is {TARGET}"))


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item: pytest.Item) -> Generator[None, object, object]:
    """Every end-to-end test, with all its fixtures, runs inside the small world."""
    if _HERE not in item.path.parents:
        return (yield)
    if _world not in item.config.stash:
        item.config.stash[_world] = World()
    with item.config.stash[_world].inside():
        return (yield)


def pytest_unconfigure(config: pytest.Config) -> None:
    if _world in config.stash:
        config.stash[_world].close()


@pytest.fixture(scope="session")
def world(pytestconfig: pytest.Config) -> World:
    """The network around the engine."""
    return pytestconfig.stash[_world]


@pytest.fixture(scope="session")
def e2e_directory() -> Iterator[Path]:
    """A directory with a short path (sockets), removed at the end."""
    missing = [name for name in _NEEDED if shutil.which(name) is None]
    if missing or os.geteuid() != 0:
        pytest.fail(f"the end-to-end tests need root and {', '.join(missing) or 'nothing more'}: ./dev test sees to it")
    path = Path(tempfile.mkdtemp(prefix="e2e-"))
    yield path
    shutil.rmtree(path)


@pytest.fixture(scope="session")
def registry(e2e_directory: Path) -> Iterator[Registry]:
    """A loopback registry with `lib/busybox:1` and `lib/dressed:1`."""
    (e2e_directory / "registry").mkdir()
    running = Registry.start(e2e_directory / "registry")
    running.push(images.busybox_archive(), "lib/busybox:1")
    running.push(images.dressed_archive("dressed:1"), "lib/dressed:1")
    yield running
    running.stop()


def new_engine(directory: Path) -> Engine:
    """An engine of the kind under test, not yet started."""
    return Dockerd(directory) if TARGET == "dockerd" else Seaway(directory)


@pytest.fixture(scope="session")
def engine(e2e_directory: Path) -> Iterator[Engine]:
    """The engine that all tests share, with the image busybox:latest."""
    shared = new_engine(e2e_directory / "engine")
    shared.start()
    try:
        prepare(shared, e2e_directory / "cli")
        yield shared
    finally:
        shared.purge()


def prepare(engine: Engine, config: Path) -> None:
    """Load the image, and run each kind of container once, so that nothing is done for the first time later."""
    config.mkdir(exist_ok=True)
    cli = DockerCli(engine.host, config)
    cli("load", input=images.busybox_archive())
    cli("load", input=images.dressed_archive("dressed:1"))
    for network in ("none", "bridge", "host"):
        cli("run", "--rm", "-i", "--network", network, "busybox", "cat", input="warm\n")
    cli("network", "create", "--ipv6", "--subnet", "fd00:77::/64", "warm")
    cli("run", "--rm", "--network", "warm", "-p", "53", "busybox", "true")
    cli("logs", cli("run", "-d", "busybox", "true").out)
    engine.api.remove_all()
    engine.api.remove_networks()


@pytest.fixture(scope="session")
def docker_config(e2e_directory: Path) -> Path:
    """A private DOCKER_CONFIG."""
    path = e2e_directory / "cli"
    path.mkdir(exist_ok=True)
    return path


@pytest.fixture(scope="session")
def docker_cli(engine: Engine, docker_config: Path) -> DockerCli:
    """The docker CLI, for all tests."""
    return DockerCli(engine.host, docker_config)


@pytest.fixture
def cli(docker_cli: DockerCli, no_containers: None) -> DockerCli:
    """The docker CLI; containers of the test are removed at its end."""
    return docker_cli


@pytest.fixture
def compose(cli: DockerCli, name: str, tmp_path: Path) -> Iterator[Project]:
    """`docker compose` in an empty directory; what the project made is removed at the end."""
    project = Project(cli, name, tmp_path)
    yield project
    project.try_("--profile", "*", "down", "--volumes", "--remove-orphans", "-t", "0")


@pytest.fixture
def api(engine: Engine, no_containers: None) -> Api:
    """The Engine API without a client library."""
    return engine.api


@pytest.fixture
def py(engine: Engine, no_containers: None) -> Iterator[docker.DockerClient]:
    """docker-py."""
    client = docker.DockerClient(base_url=engine.host, timeout=60)
    yield client
    client.close()


@pytest.fixture
def no_containers(engine: Engine) -> Iterator[None]:
    """Each test starts, and leaves the next one, without containers, networks of users and volumes."""
    yield
    engine.api.remove_all()
    engine.api.remove_networks()
    engine.api.remove_volumes()


@pytest.fixture
def name() -> str:
    """A container name that no other test uses."""
    return f"t{random.SystemRandom().getrandbits(40):010x}"


@pytest.fixture(scope="module", autouse=True)
def no_leaks(request: pytest.FixtureRequest) -> Iterator[None]:
    """After each module, the machine holds what it held before."""
    if any(mark.name == "own_engines" for mark in request.node.iter_markers()):
        yield
        return
    shared: Engine = request.getfixturevalue("engine")
    before = census.take(shared)
    yield
    _expect_no_more_than(before, shared)


def _expect_no_more_than(before: census.Census, engine: Engine) -> None:
    found: dict[str, object] = {}

    def clean() -> bool:
        found.clear()
        found.update(census.take(engine).beyond(before, idle=2, slack=engine.descriptor_slack))
        return not found

    try:
        eventually(clean, "a clean machine", _SETTLED_S)
    except TimeoutError:
        pytest.fail(f"leaked: {found}", pytrace=False)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """A failed test shows what the engine logged."""
    report = yield
    used = getattr(item, "funcargs", {}) if _HERE in item.path.parents else {}
    for name in ("engine", "suite", "buildkit_suite"):
        if report.failed and isinstance(suite := used.get(name), Seaway):
            report.sections.append((f"{name} log", suite.log()))
    return report
