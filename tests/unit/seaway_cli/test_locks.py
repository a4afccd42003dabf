from pathlib import Path

import pytest

from seaway_cli.errors import CliError
from seaway_cli.locks import Lock, take_or_wait


def test_one_holder_at_a_time(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    with Lock(path) as one, Lock(path) as two:
        assert one.take()
        assert not two.take()
    with take_or_wait(path, lambda: pytest.fail("called")) as three:
        assert three.path == path


def test_running_suite_is_refused_at_once(tmp_path: Path) -> None:
    def check() -> None:
        raise CliError("a suite already runs")

    with Lock(tmp_path / "lock") as held:
        held.take()
        with pytest.raises(CliError, match="a suite already runs"):
            take_or_wait(tmp_path / "lock", check)


def test_remains_that_do_not_end(tmp_path: Path) -> None:
    with Lock(tmp_path / "lock") as held:
        held.take()
        with pytest.raises(CliError, match="processes of an earlier suite"):
            take_or_wait(tmp_path / "lock", lambda: None, wait_s=0.1)
