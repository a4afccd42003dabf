"""A suite of its own for the failure model: everything in it may be killed at any time.

`./dev chaos` runs it in full; a plain test run does a short form. The seed is printed; SEAWAY_CHAOS_SEED repeats it.
"""

import sys
import tempfile
from collections.abc import Generator, Iterator
from pathlib import Path
from typing import Protocol, runtime_checkable

import pytest

_HERE = Path(__file__).parent
sys.path[:0] = [str(_HERE), str(_HERE.parent / "e2e")]

from chaos_rig.clean import leaving_nothing
from chaos_rig.client import Client
from chaos_rig.figures import Figures
from chaos_rig.scale import FULL, SEED, dice
from chaos_rig.suite import ChaosSuite, Suites
from e2e_rig import images
from e2e_rig.registry import Registry
from e2e_rig.world import World

_SHARE = 3  # of the many steps at which R3 kills, a short form has one in so many: others with each seed
_world = pytest.StashKey[World]()
_figures = pytest.StashKey[Figures]()


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out most of R3 in a short form, unless somebody names what to run."""
    if FULL or config.option.keyword or any("::" in argument for argument in config.args):
        return
    many = sorted((item for item in items if item.path.name.startswith("test_r03_")), key=lambda item: item.nodeid)
    out = set(many) - set(dice("R3").sample(many, len(many) // _SHARE))
    config.hook.pytest_deselected(items=[item for item in items if item in out])
    items[:] = [item for item in items if item not in out]


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item: pytest.Item) -> Generator[None, object, object]:
    """Every test, with all its fixtures, runs inside a small world of its own."""
    if _HERE not in item.path.parents:
        return (yield)
    if _world not in item.config.stash:
        item.config.stash[_world] = World()
        item.config.stash[_figures] = Figures()
    with item.config.stash[_world].inside():
        return (yield)


def pytest_unconfigure(config: pytest.Config) -> None:
    if _world in config.stash:
        config.stash[_world].close()


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    if _figures in config.stash:
        terminalreporter.section(f"chaos: {'full' if FULL else 'short'} form, SEAWAY_CHAOS_SEED={SEED}")
        for line in config.stash[_figures].lines():
            terminalreporter.write_line(line)


@pytest.fixture
def figures(pytestconfig: pytest.Config) -> Figures:
    """Where results go."""
    return pytestconfig.stash[_figures]


@pytest.fixture(scope="session")
def chaos_directory() -> Iterator[Path]:
    """A directory with a short path (sockets), removed at the end."""
    with tempfile.TemporaryDirectory(prefix="chaos-") as path:
        yield Path(path)


@pytest.fixture(scope="session")
def registry(chaos_directory: Path) -> Iterator[Registry]:
    """A loopback registry with `lib/busybox:1`."""
    (chaos_directory / "registry").mkdir()
    running = Registry.start(chaos_directory / "registry")
    running.push(images.busybox_archive(), "lib/busybox:1")
    yield running
    running.stop()


@pytest.fixture(scope="session")
def suites(chaos_directory: Path) -> Iterator[Suites]:
    """Where the suite for all tests of this folder comes from, and a fresh one after a test that left something."""
    made = Suites(chaos_directory)
    yield made
    made.discard()


@pytest.fixture
def suite(suites: Suites) -> Iterator[ChaosSuite]:
    """The shared suite, with the image busybox. What a test leaves is a leak, and the next one gets a fresh suite."""
    shared = suites.current()
    try:
        with leaving_nothing(shared):
            yield shared
    except BaseException:
        suites.discard()
        raise
    if shared.has_met_others:
        suites.discard()


@pytest.fixture
def client(suite: ChaosSuite) -> Client:
    """A patient client."""
    return Client(suite.api)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """A failed test shows the seed and what the suite logged."""
    report = yield
    if report.failed and _HERE in item.path.parents:
        report.sections.append(("seed", f"SEAWAY_CHAOS_SEED={SEED}"))
        report.sections += [("log", one.log()) for one in _logging(item)]
    return report


@runtime_checkable
class _Logging(Protocol):
    def log(self) -> str: ...


def _logging(item: pytest.Item) -> list[_Logging]:
    """Those that log among a test's fixtures, or in one that gives several things."""
    values = getattr(item, "funcargs", {}).values()
    found = [one for value in values for one in (value if isinstance(value, tuple) else (value,))]
    return [one for one in found if isinstance(one, _Logging)]
