import json
import logging
import sys

import pytest

from seaway_kit.logs import JsonFormatter, TextFormatter, configure


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


def test_configure_writes_to_stderr(capsys: pytest.CaptureFixture[str]) -> None:
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    try:
        configure("image", level="warning")
        logging.getLogger("x").info("unheard")
        logging.getLogger("x").warning("heard")
    finally:
        root.handlers[:] = handlers
        root.setLevel(level)
        logging.captureWarnings(False)
    text = capsys.readouterr().err
    assert text.endswith("image: heard\n")
    assert text.count("\n") == 1
