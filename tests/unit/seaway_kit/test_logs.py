import json
import logging
import os
import sys
from collections.abc import Iterator

import pytest

from seaway_kit.logs import JsonFormatter, LogFormat, TextFormatter, as_text, configure


def record(message: str, *args: object, level: int = logging.INFO, error: bool = False) -> logging.LogRecord:
    made = logging.LogRecord("seaway_agent.shim", level, "f.py", 1, message, args, sys.exc_info() if error else None)
    made.created = 1767225600.1239
    return made


def test_text_line() -> None:
    line = TextFormatter("agent").format(record("took %d ms", 5))
    assert line == "2026-01-01T00:00:00.123Z INFO  agent: took 5 ms"


@pytest.mark.parametrize(("level", "word"), [(logging.WARNING, "WARN"), (logging.CRITICAL, "FATAL")])
def test_level_fits_its_column(level: int, word: str) -> None:
    assert TextFormatter("api").format(record("x", level=level)).split()[1] == word


def test_message_can_not_forge_a_line() -> None:
    line = TextFormatter("agent").format(record("name %s", "a\n2026 ERROR agent: owned\r"))
    assert line.endswith("INFO  agent: name a\\n2026 ERROR agent: owned\\r")


def test_traceback_follows() -> None:
    try:
        raise ValueError("odd")
    except ValueError:
        text = TextFormatter("agent").format(record("failed", error=True))
    assert text.splitlines()[0].endswith("agent: failed")
    assert text.splitlines()[-1] == "ValueError: odd"


def test_json_line() -> None:
    fields = json.loads(JsonFormatter("agent").format(record("a\nb")))
    assert fields == {
        "time": "2026-01-01T00:00:00.123Z",
        "level": "info",
        "service": "agent",
        "logger": "seaway_agent.shim",
        "message": "a\nb",
    }


@pytest.fixture
def own_logging() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    root.handlers[:] = handlers
    root.setLevel(level)
    logging.captureWarnings(False)


@pytest.mark.usefixtures("own_logging")
def test_configure_writes_json_to_stderr(capsys: pytest.CaptureFixture[str]) -> None:
    configure("image", level="warning")
    logging.getLogger("x").info("unheard")
    logging.getLogger("x").warning("heard")
    (line,) = capsys.readouterr().err.splitlines()
    assert json.loads(line)["message"] == "heard"


@pytest.mark.usefixtures("own_logging")
@pytest.mark.parametrize(("form", "begin"), [("auto", "2"), ("text", "2"), ("json", "{")])
def test_on_a_terminal_logs_are_text(monkeypatch: pytest.MonkeyPatch, form: LogFormat, begin: str) -> None:
    ours, theirs = os.openpty()
    with open(theirs, "w") as terminal, open(ours, "rb", buffering=0) as reader:
        monkeypatch.setattr(sys, "stderr", terminal)
        configure("image", form=form)
        logging.getLogger("x").warning("heard")
        line = reader.read(1000).decode()
    assert line.startswith(begin) and "heard" in line


@pytest.mark.parametrize("level", [logging.DEBUG, logging.WARNING, logging.CRITICAL])
def test_json_as_text(level: int) -> None:
    try:
        raise ValueError("odd")
    except ValueError:
        made = record("failed:\n%s", "é", level=level, error=True)
    assert as_text(JsonFormatter("agent").format(made)) == TextFormatter("agent").format(made)


@pytest.mark.parametrize("line", ["", "x", "[1]", "{}", '{"level": 1}', '{"level": "odd", "message": "m"}', "1"])
def test_what_is_no_json_log_line_stays(line: str) -> None:
    assert as_text(line) == line
