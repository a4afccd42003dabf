"""What is left of the runs of an agent before."""

from pathlib import Path

import pytest

from seaway_agent.core.instructions import Launch
from seaway_agent.recovery import leftovers
from seaway_agent.runtime.run import RunRecord


@pytest.mark.parametrize("text", ["", "{", "[]", '{"endpoints": [{}]}', '{"run": null}', '{"starters": [1]}'])
def test_a_broken_record_of_a_run_is_none(tmp_path: Path, text: str) -> None:
    """One container's must not keep the agent from the others."""
    file = tmp_path / "run.json"
    file.write_text(text)
    assert leftovers._record(file) == RunRecord()
    assert leftovers._record(tmp_path / "none") == RunRecord()


def test_a_record_is_read(tmp_path: Path) -> None:
    file = tmp_path / "run.json"
    file.write_bytes(RunRecord(Launch(4)).dump())
    assert leftovers._record(file) == RunRecord(Launch(4))
