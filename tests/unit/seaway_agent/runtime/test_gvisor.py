"""What runsc says of a sandbox."""

import os
from pathlib import Path

import pytest

from seaway_agent.runtime import gvisor
from seaway_contracts.errors import SeawayError

TABLE = """\
UID       PID       PPID      C         TTY       STIME     TIME      CMD
0         1         0         7         ?         10:25     60ms      sleep
77        12        1         0         pts/0     10:26     1s        a name
"""


def test_a_table_of_processes() -> None:
    found = gvisor.parse(TABLE)
    assert found.titles == ("UID", "PID", "PPID", "C", "TTY", "STIME", "TIME", "CMD")
    assert found.processes == (
        ("0", "1", "0", "7", "?", "10:25", "60ms", "sleep"),
        ("77", "12", "1", "0", "pts/0", "10:26", "1s", "a name"),
    )


def test_no_processes() -> None:
    assert gvisor.parse("").processes == ()


def test_options_of_ps_are_refused(tmp_path: Path) -> None:
    with pytest.raises(SeawayError, match="no options of ps"):
        gvisor.list_processes("/no/runsc", tmp_path, "c" * 64, "aux")


def test_a_runsc_that_is_gone(tmp_path: Path) -> None:
    with pytest.raises(SeawayError, match="can't be asked"):
        gvisor.list_processes("/no/runsc", tmp_path, "c" * 64, "-ef")


@pytest.mark.parametrize("text", ["", "{", "{}", '{"goferPid": 0}', f'{{"goferPid": {os.getpid()}}}'])
def test_a_number_that_is_no_gofers_is_not_taken(tmp_path: Path, text: str) -> None:
    (tmp_path / "x.state").write_text(text)
    with pytest.raises(ProcessLookupError):
        gvisor.gofer(tmp_path, "c" * 64)
