"""The page on events has every event of the catalogue, and no other; of bodies what is published, and what is not."""

import json
import re
from pathlib import Path
from typing import Final

from seaway_api.routes.events import REMEMBERED
from seaway_cli.permissions import USERS, nats_permissions
from seaway_contracts.asyncapi import document
from seaway_contracts.catalogue import ALL_TOLD, EVENT_STREAM, EVENTS
from seaway_contracts.channels import Role
from seaway_contracts.containers import ContainerStatus, Health
from seaway_contracts.lifecycle import (
    EXEC_COMMAND,
    MOST_BYTES,
    ContainerEvent,
    Envelope,
    PublicContainerEvent,
    PublicHealth,
    PublicStatus,
    public_body,
)
from seaway_contracts.masking import MASK, SECRET_WORDS
from seaway_contracts.volumes import PublicVolumeEvent, VolumeEvent
from seaway_testing.fake_server import matches

PAGE: Final = (Path(__file__).parents[3] / "docs" / "events.md").read_text()
_ROW: Final = re.compile(r"^\| `([a-z]+\.[\w-]+)` \| (?:metadata, )?(\w+) \|", re.MULTILINE)
"""Metadata also publishes some events that agents own: those of volumes that users make and remove."""


def joined(text: str) -> str:
    return " ".join(text.split())


def test_each_event_has_a_row_with_its_source() -> None:
    expected = {(f"{noun}.{action}", one.owner.value) for (noun, action), one in EVENTS.items()}
    assert set(_ROW.findall(PAGE)) == expected


def test_metadata_publishes_all_and_nobody_else() -> None:
    for (noun, action), channel in EVENTS.items():
        subject = channel.template.wildcard()
        publishers = {user for user in (*USERS, "agent.n1") if subject in nats_permissions(user).publish}
        assert publishers == {"metadata"}, f"{noun}.{action}"
        assert not [one for one in nats_permissions("agent.n1").publish if matches(one, channel.subject("n1", "x"))]


def test_the_body_of_a_container_event_is_the_public_part() -> None:
    rows = re.findall(
        r"^\| `(\w+)` \| [^|]+ \|$", PAGE[PAGE.index("| field of `status`") : PAGE.index("## Kinds")], re.M
    )
    assert set(rows) == set(PublicStatus.model_fields)
    assert {channel.public for (noun, _), channel in EVENTS.items() if noun == "container"} == {PublicContainerEvent}


def test_what_is_not_published_is_named() -> None:
    paragraph = joined(PAGE[PAGE.index("Not published are") : PAGE.index("## Kinds")])
    kept = {
        *(set(ContainerEvent.model_fields) - set(PublicContainerEvent.model_fields)),
        *(set(ContainerStatus.model_fields) - set(PublicStatus.model_fields)),
        *(set(Health.model_fields) - set(PublicHealth.model_fields)),
        *(set(VolumeEvent.model_fields) - set(PublicVolumeEvent.model_fields)),
        EXEC_COMMAND,
    }
    assert set(re.findall(r"`(\w+)`", paragraph)) == kept


def test_the_example_is_a_public_body() -> None:
    (text,) = re.findall(r"^```json\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)
    body = json.loads(text)
    read = PublicContainerEvent.model_validate(body)
    assert public_body("container", text.encode()) == body
    assert set(body["status"]) <= set(PublicStatus.model_fields)
    assert read.status.state == "running" and read.attributes["name"]


def test_what_agents_tell_is_said_to_be_internal() -> None:
    assert f"`{ALL_TOLD.replace('*', '<node>').removesuffix('>')}…`. These subjects are internal" in joined(PAGE)
    heard = {user for user in USERS if ALL_TOLD in nats_permissions(user).subscribe}
    assert heard == {Role.API.value, Role.METADATA.value}
    assert "Agents also tell the API and metadata each event at once" in joined(PAGE)


def test_each_header_has_a_row() -> None:
    envelope = Envelope("e", "n", "container", "die", "c", 1)
    assert set(re.findall(r"^\| `((?:ce|Nats)-[\w-]+)` \|", PAGE, re.MULTILINE)) == set(envelope.headers())


def test_the_limits_are_those_of_the_catalogue() -> None:
    assert EVENT_STREAM.name in PAGE
    assert f"({EVENT_STREAM.max_age_s // 86_400} days, at most {EVENT_STREAM.max_bytes >> 30} GiB)" in PAGE
    assert f"An event has at most {MOST_BYTES >> 10} KiB" in PAGE


def schema_rows() -> list[tuple[str, str, str, str]]:
    """Events, schema, fields and internal fields of each row of the table of bodies."""
    table = PAGE[PAGE.index("| events | schema |") : PAGE.index("**What you may rely on**")]
    return re.findall(r"^\| `([a-z]+\.[a-z*]+)`[^|]* \| `(\w+)` \| ([^|]*) \| ([^|]*)\|$", table, re.MULTILINE)


def test_each_body_has_a_schema_with_its_fields() -> None:
    rows = {events: (schema, fields, internal) for events, schema, fields, internal in schema_rows()}
    for (noun, action), channel in EVENTS.items():
        schema, fields, internal = rows.get(f"{noun}.{action}") or rows[f"{noun}.*"]
        assert schema == channel.public.__name__, f"{noun}.{action}"
        assert {*re.findall(r"`(\w+)`", fields), "attributes"} == set(channel.public.model_fields)
        assert set(re.findall(r"`(\w+)`", internal)) <= set(re.findall(r"`(\w+)`", fields))


def test_the_document_has_each_schema() -> None:
    schemas = document()["components"]["schemas"]
    for _, schema, _, _ in schema_rows():
        assert "attributes" in schemas[schema]["properties"]


def test_lossy_events_are_named() -> None:
    paragraph = joined(PAGE[PAGE.index("- **Lossy** are") : PAGE.index("- **Bounded.**")])
    containers = re.findall(r"`(?:container\.)?([a-z-]+(?:_[a-z]+)*)`", paragraph.partition("all of `image`")[0])
    lossy = {(noun, action) for (noun, action), channel in EVENTS.items() if channel.lossy}
    named = {("container", action) for action in containers} | {("cluster", "prune")}
    assert named | {(noun, action) for noun, action in EVENTS if noun in ("image", "build")} == lossy


def test_the_rule_of_secrets_is_that_of_the_code() -> None:
    paragraph = joined(PAGE[PAGE.index("No event has a secret") : PAGE.index("## Bodies")])
    assert f"is `{MASK}` if" in paragraph
    listed = paragraph.partition("for the space: ")[2].partition(". That holds")[0]
    assert tuple(re.findall(r"`([a-z ]+)`", listed)) == SECRET_WORDS


def test_the_limits_of_the_api_are_those_of_the_code() -> None:
    assert f"the newest {REMEMBERED} events" in joined(PAGE)
