"""The AsyncAPI document, read by AsyncAPI's own parser. `./dev test` fetches that where node and npm are installed."""

import json
import subprocess
from typing import Any, Final

import pytest
from tests import node_packages

from seaway_contracts.asyncapi import document, render

_WARNING: Final = 1

pytestmark = pytest.mark.skipif(
    not node_packages.has("@asyncapi/parser"),
    reason="@asyncapi/parser is not there: `./dev test` fetches it where node and npm are installed",
)


def parsed(text: str) -> Any:
    command = ["node", str(node_packages.PROGRAMS / "asyncapi.mjs"), str(node_packages.PACKAGES)]
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
