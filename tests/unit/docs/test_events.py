"""The page on events has every event of the catalogue, and no other."""

import re
from pathlib import Path
from typing import Final

from seaway_cli.permissions import nats_permissions
from seaway_contracts.catalogue import EVENT_STREAM, EVENTS
from seaway_contracts.lifecycle import Envelope

PAGE: Final = (Path(__file__).parents[3] / "docs" / "events.md").read_text()
_ROW: Final = re.compile(r"^\| `((?:container|network|volume|image|node|cluster)\.[\w-]+)` \| (\w+) \|", re.MULTILINE)
KINDS: Final = dict(_ROW.findall(PAGE))


def test_each_event_has_a_row() -> None:
    assert set(KINDS) == {f"{noun}.{action}" for noun, action in EVENTS}


def test_the_named_publisher_may_publish_it() -> None:
    for (noun, action), channel in EVENTS.items():
        publisher = KINDS[f"{noun}.{action}"]
        user, tokens = ("agent.n1", {"node": "n1"}) if publisher == "agent" else (publisher, {})
        assert channel.template.wildcard(**tokens) in nats_permissions(user).publish, f"{noun}.{action}"


def test_each_header_has_a_row() -> None:
    envelope = Envelope("e", "n", "container", "die", "c", 1)
    assert set(re.findall(r"^\| `((?:ce|Nats)-[\w-]+)` \|", PAGE, re.MULTILINE)) == set(envelope.headers())


def test_the_streams_limits_are_those_of_the_catalogue() -> None:
    assert EVENT_STREAM.name in PAGE
    assert f"({EVENT_STREAM.max_age_s // 86_400} days, at most {EVENT_STREAM.max_bytes >> 30} GiB)" in PAGE
