"""Both answers as a report: its text, what may be asked, and the command itself."""

import subprocess
import sys
from pathlib import Path

import pytest
from differ.engines import missing
from differ.paste import NoQuestion, question
from differ.report import Answer, report


def test_what_is_the_same_is_said_once() -> None:
    text = report("docker version", *[Answer({"code": "0", "stdout": "a\n"}, {"code": "0", "stdout": "a\n"})] * 2)
    assert "No difference but" in text and "code: the same, `0`" in text and "stdout: the same, `a`" in text


def test_what_differs_stands_line_by_line() -> None:
    docker, seaway = ({"status": code, "body": f"one\n{word}\nthree"} for code, word in (("404", "two"), ("400", "2")))
    text = report("GET /x", Answer(docker, docker), Answer(seaway, seaway))
    assert text.startswith("### `GET /x`\n\nDifferent: status, body (")
    assert "```diff\n@@ -1 +1 @@\n-404\n+400\n```" in text
    assert " one\n-two\n+2\n three" in text
    assert text.index("dockerd, as it came") < text.index("Seaway, as it came")


def test_long_answers_are_cut() -> None:
    long = {"stdout": "\n".join(map(str, range(1000)))}
    assert "(600 more lines)" in report("docker logs x", Answer(long, long), Answer(long, long))


def test_questions() -> None:
    assert question(["docker", "ps", "-a"]).words == ("docker", "ps", "-a")
    assert str(question(["docker", "ps", "--format", "{{.ID}} x"])) == "docker ps --format '{{.ID}} x'"
    call = question(["POST", "/volumes/create", '{"Name":"v"}'])
    assert (call.method, call.path, call.body) == ("POST", "/volumes/create", b'{"Name":"v"}')
    assert str(call) == 'POST /volumes/create {"Name":"v"}'


@pytest.mark.parametrize("words", [[], ["ps"], ["GET"], ["GET", "info"], ["get", "/info"], ["GET", "/a", "{}", "x"]])
def test_what_is_no_question(words: list[str]) -> None:
    with pytest.raises(NoQuestion, match="usage:"):
        question(words)


def _differ(*words: str) -> subprocess.CompletedProcess[str]:
    words = (sys.executable, "-m", "tests.differential", "--", *words)
    return subprocess.run(words, cwd=Path(__file__).parents[2], capture_output=True, text=True, timeout=300)


def test_a_call_and_a_command_on_both() -> None:
    """Nothing is left: neither files, nor processes, as their namespace ends with the command."""
    assert not missing()
    before = set(Path("/tmp").glob("differ-*"))
    called = _differ("GET", "/containers/nothing/json")
    assert called.returncode == 0, called.stderr
    assert "status: the same, `404`" in called.stdout and "No such container: nothing" in called.stdout
    ran = _differ("docker", "service", "ls")
    assert "Different: stderr" in ran.stdout and "+Error response from daemon: This node is not a swarm" in ran.stdout
    assert set(Path("/tmp").glob("differ-*")) <= before
    assert _differ("nonsense").returncode == 2
