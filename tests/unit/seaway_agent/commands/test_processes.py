"""What ps prints, and which of it belongs to a container."""

import os

import pytest

from seaway_agent.commands.processes import check_ps_args, list_processes, parse_ps
from seaway_contracts.errors import SeawayError

OUTPUT = """UID   PID  PPID CMD
root    1     0 init
app    77     1 sleep  9 now
app    78    77 sh -c a | b
"""


def test_the_rows_of_the_container_with_the_rest_in_the_last_column() -> None:
    found = parse_ps(OUTPUT, {77, 78})
    assert found.titles == ("UID", "PID", "PPID", "CMD")
    assert found.processes == (("app", "77", "1", "sleep 9 now"), ("app", "78", "77", "sh -c a | b"))


def test_threads_follow_their_process() -> None:
    text = "PID LWP CMD\n77 - a\n- 770 -\n99 - b\n- 990 -\n"
    assert parse_ps(text, {77}).processes == (("77", "-", "a"), ("-", "770", "-"))


@pytest.mark.parametrize(
    ("text", "part"), [("CMD\nx\n", "find PID field"), ("", "find PID field"), ("PID\nx\n", "Unexpected pid 'x'")]
)
def test_what_can_not_be_read(text: str, part: str) -> None:
    with pytest.raises(SeawayError, match=part):
        parse_ps(text, {1})


def test_no_other_column_may_be_called_pid() -> None:
    check_ps_args("-o pid,comm")
    check_ps_args("-eo pid=PID")
    with pytest.raises(SeawayError, match='specifying "comm=PID" is not allowed'):
        check_ps_args("-eo pid, comm=PID")


def test_the_real_ps() -> None:
    found = list_processes("-o pid,comm", {os.getpid()})
    assert [row[0] for row in found.processes] == [str(os.getpid())]
    assert list_processes("f -eo pid,comm", {os.getpid()}).processes
    with pytest.raises(SeawayError, match="unknown gnu long option"):
        list_processes("--bogus", {os.getpid()})
