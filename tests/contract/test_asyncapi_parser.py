"""The AsyncAPI document, read by AsyncAPI's own parser. `./dev test` fetches that where node and npm are installed."""

import json
import os
import shutil
import subprocess
from pathlib import Path
from typing import Any, Final

import pytest

from seaway_contracts.asyncapi import document, render

HERE: Final = Path(__file__).parent / "asyncapi_parser"
PARSER: Final = Path(os.environ.get("SEAWAY_ASYNCAPI_PARSER", "/var/cache/seaway-asyncapi-parser"))
_WARNING: Final = 1

pytestmark = pytest.mark.skipif(
    shutil.which("node") is None or not (PARSER / "node_modules").is_dir(),
    reason="@asyncapi/parser is not there: `./dev test` fetches it where node and npm are installed",
)


def parsed(text: str) -> Any:
    command = ["node", str(HERE / "check.mjs"), str(PARSER)]
    return json.loads(subprocess.run(command, input=text, capture_output=True, check=True, text=True).stdout)


def test_the_document_is_valid() -> None:
    found = parsed(render())
    assert [one for one in found["problems"] if one["severity"] <= _WARNING] == []
    assert set(found["channels"]) == {one["address"] for one in document()["channels"].values()}


def test_a_wrong_document_is_not() -> None:
    wrong = document()
    wrong["channels"]["event.container.die"]["messages"]["event.container.die"] = {"$ref": "#/components/messages/no"}
    wrong["operations"]["event.container.die"]["action"] = "shout"
    found = parsed(json.dumps(wrong))
    assert [one for one in found["problems"] if one["severity"] == 0]
