import json
from pathlib import Path

from seaway_cli.errors import describe
from seaway_cli.layout import Layout
from seaway_cli.outcome import as_json, failure, ready_document, summary


def test_summary_says_where_things_are() -> None:
    text = summary(Layout(Path("/r"), Path("/u")), ["unix:///u/docker.sock", "tcp://127.0.0.1:1"], 0.849)
    assert text.splitlines()[0] == "Seaway is ready (0.8 s)."
    assert "unix:///u/docker.sock tcp://127.0.0.1:1" in text
    assert "seaway status --run /u" in text
    assert "--run" not in summary(Layout(Path("/r"), Path("/run/seaway")), [], 1)
    assert "/sd" not in text and "registry" not in text
    assert "  registry  http://h:2" in summary(Layout(Path("/r"), Path("/u")), [], 1, registry="http://h:2")
    assert "http://h:1/sd (Prometheus" in summary(Layout(Path("/r"), Path("/u")), [], 1, "http://h:1/metrics")


def test_ready_as_json() -> None:
    found = json.loads(
        ready_document(Layout(Path("/r"), Path("/u")), ["unix:///u/s"], 0.8494, "http://h:1/metrics", "http://h:2")
    )
    assert found == {
        "endpoints": ["unix:///u/s"],
        "root": "/r",
        "run": "/u",
        "logs": "/u/log",
        "metrics": "http://h:1/metrics",
        "registry": "http://h:2",
        "seconds": 0.849,
    }


def test_failure_shows_the_end_of_the_log(tmp_path: Path) -> None:
    layout = Layout(tmp_path, tmp_path)
    layout.logs.mkdir()
    layout.log("api").write_text("".join(f"line {number}\n" for number in range(20)))
    text = failure(layout, ["api", "without-log"], "api does not start (exit code 1)", lines=2)
    assert text.splitlines() == [
        "Seaway did not start: api does not start (exit code 1).",
        f"The last lines of {tmp_path}/log/api.log:",
        "  line 18",
        "  line 19",
    ]


def test_failure_shows_json_logs_as_text(tmp_path: Path) -> None:
    layout = Layout(tmp_path, tmp_path)
    layout.logs.mkdir()
    fields = {"time": "2026-01-01T00:00:00.123Z", "level": "critical", "service": "api", "message": "api can't run"}
    layout.log("api").write_text(json.dumps(fields | {"error": "Traceback\nOSError: odd"}) + "\n")
    text = failure(layout, ["api"], "api does not start (exit code 1)")
    assert text.splitlines()[2:] == [
        "  2026-01-01T00:00:00.123Z FATAL api: api can't run",
        "  Traceback",
        "  OSError: odd",
    ]


def test_system_errors_in_words() -> None:
    assert describe(OSError(28, "No space left on device", "/r/suite.json")) == "/r/suite.json: No space left on device"
    assert describe(OSError("odd")) == "odd"


def test_text_as_json_has_its_commands_apart() -> None:
    found = json.loads(as_json("Do this.\nHere:\n  seaway a\n  seaway b", node="n2"))
    assert found == {"node": "n2", "text": "Do this. Here:", "commands": ["seaway a", "seaway b"]}
