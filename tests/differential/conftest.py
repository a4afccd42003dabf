"""Docker's own daemon and a Seaway suite, each in a small world of its own, with the same images."""

import shutil
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

_HERE = Path(__file__).parent
sys.path[:0] = [path for path in (str(_HERE), str(_HERE.parent / "e2e")) if path not in sys.path]

from differ.engines import both, missing
from differ.pair import Pair


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """What looks back on all scenarios goes last, in whatever order the others run."""
    items.sort(key=lambda item: item.get_closest_marker("looks_back") is not None)


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "looks_back: judges what the other tests have found; runs after them")


@pytest.fixture(scope="session")
def pair() -> Iterator[Pair]:
    """Both engines, for all scenarios."""
    if lacking := missing():
        pytest.fail(lacking)
    directory = Path(tempfile.mkdtemp(prefix="diff-"))
    try:
        with both(directory) as engines:
            yield engines
    finally:
        shutil.rmtree(directory)
