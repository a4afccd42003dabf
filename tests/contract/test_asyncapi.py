"""The AsyncAPI document: it is of this catalogue, whole and stable."""

import json
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from seaway_contracts import catalogue
from seaway_contracts.asyncapi import call_name, document, render
from seaway_contracts.channels import Role

DOCUMENT = Path(__file__).parents[2] / "docs" / "asyncapi.json"


def refs(node: Any) -> Iterator[str]:
    if isinstance(node, dict):
        for key, value in node.items():
            if key == "$ref":
                yield value
            else:
                yield from refs(value)
    elif isinstance(node, list):
        for value in node:
            yield from refs(value)


def test_the_document_in_the_repository_is_of_this_catalogue() -> None:
    text = DOCUMENT.read_text()
    assert text == render(), "run: python -m seaway_contracts.asyncapi > docs/asyncapi.json"


def test_it_is_the_same_in_every_process() -> None:
    command = [sys.executable, "-m", "seaway_contracts.asyncapi"]
    printed = {
        subprocess.run(
            command,
            env={"PYTHONHASHSEED": seed, "PYTHONPATH": ":".join(sys.path)},
            capture_output=True,
            check=True,
            text=True,
        ).stdout
        for seed in ("1", "2")
    }
    assert printed == {render()}


def test_every_subject_of_the_catalogue_is_in_it() -> None:
    addresses = {channel["address"] for channel in document()["channels"].values()}
    expected = {event.template.text for event in catalogue.EVENTS.values()}
    expected |= {call.template.text for call in catalogue.CALLS}
    expected |= {event.told_template.text for event in catalogue.EVENTS.values() if event.owner is Role.AGENT}
    expected |= {message.template.text for message in catalogue.MESSAGES}
    expected |= {catalogue.STREAM_TEMPLATE.text, catalogue.TO_NODE.text, catalogue.FROM_NODE.text, None}
    assert addresses == expected


def test_all_references_lead_somewhere() -> None:
    whole = document()
    found = set(refs(whole))
    assert found
    for ref in found:
        node = whole
        for part in ref.removeprefix("#/").split("/"):
            node = node[part.replace("~1", "/").replace("~0", "~")]


def test_parameters_are_those_of_the_address() -> None:
    for channel in document()["channels"].values():
        fields = set(re.findall(r"{(\w+)}", channel["address"] or ""))
        assert fields == set(channel.get("parameters", {}))


def test_calls_say_where_the_reply_goes() -> None:
    operations = document()["operations"]
    for call in catalogue.CALLS:
        operation = operations[call_name(call)]
        assert operation["reply"]["channel"]["$ref"].endswith(".reply")
        assert operation["x-queue-group"] == ("" if call.to_node else call.service)
        assert operation["x-callers"] == sorted(role.value for role in call.callers)


def test_it_is_json_with_sorted_keys() -> None:
    assert json.dumps(json.loads(render()), indent=2, sort_keys=True, ensure_ascii=False) + "\n" == render()
