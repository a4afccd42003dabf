"""No event shows a secret: labels are masked by their keys, in the stream and to clients of /events."""

import json

import orjson
import pytest

from seaway_api.translate.events import docker_event
from seaway_contracts.catalogue import CONTAINER_CREATE, VOLUME_CREATE
from seaway_contracts.containers import ContainerStatus
from seaway_contracts.lifecycle import ContainerEvent, Envelope, PublicContainerEvent, public_body
from seaway_contracts.masking import MASK, SECRET_WORDS, is_secret, masked
from seaway_contracts.volumes import PublicVolumeEvent, VolumeEvent
from seaway_testing.builders import spec

LABELS = {"db.password": "hush", "API_KEY": "hush", "com.docker.compose.project": "shop", "keyboard": "de"}
SHOWN = {"db.password": MASK, "API_KEY": MASK, "com.docker.compose.project": "shop", "keyboard": "de"}


@pytest.mark.parametrize("word", SECRET_WORDS)
def test_a_key_with_a_secret_word_is_secret(word: str) -> None:
    for between in ("", ".", "_", "-"):
        key = word.replace(" ", between)
        assert is_secret(key) and is_secret(f"app.{key.upper()}.value") and is_secret(f"MY{key}2")


@pytest.mark.parametrize("key", ["name", "image", "passenger", "com.docker.compose.service", "keyboard", "author", ""])
def test_other_keys_are_not(key: str) -> None:
    assert not is_secret(key)


def test_only_values_are_masked() -> None:
    assert masked(LABELS) == SHOWN


def whole() -> ContainerEvent:
    """A container's event with a secret in each private place."""
    made = spec().model_copy(update={"env": ("K=hush",), "cmd": ("hush",), "labels": LABELS})
    status = ContainerStatus(seq=1, error="hush", log_path="/hush")
    return ContainerEvent(status=status, spec=made, attributes=LABELS | {"execCommand": "hush", "name": "web"})


def test_the_public_part_of_a_container_event_has_no_secret() -> None:
    body = CONTAINER_CREATE.encode(whole())
    assert b"hush" in body
    by_agent = public_body("container", body)
    assert by_agent["attributes"] == SHOWN | {"name": "web"}
    by_metadata = CONTAINER_CREATE.published(json.loads(body))  # of an agent that leaves all in
    by_own_outbox = CONTAINER_CREATE.encode_public(whole())
    for text in (json.dumps(by_agent), by_metadata.decode(), by_own_outbox.decode()):
        assert "hush" not in text
        assert PublicContainerEvent.model_validate_json(text).attributes == SHOWN | {"name": "web"}


def test_the_public_part_of_a_volume_event_has_no_secret() -> None:
    event = VolumeEvent(name="v", labels=LABELS, options={"o": "password=hush"}, attributes={"driver": "local"})
    body = VOLUME_CREATE.encode(event)
    assert VOLUME_CREATE.decode(body).labels == LABELS, "metadata makes the record of what the agent says"
    for text in (json.dumps(public_body("volume", body)), VOLUME_CREATE.encode_public(event).decode()):
        assert "hush" not in text
        assert PublicVolumeEvent.model_validate_json(text).labels == SHOWN


def test_clients_of_the_api_see_the_same_live_and_from_the_stream() -> None:
    envelope = Envelope(id="e", node="n1", noun="container", action="start", subject_id="c" * 64, time_ns=1)
    live = CONTAINER_CREATE.encode(ContainerEvent(status=ContainerStatus(seq=1), attributes=LABELS))
    lines = []
    for data in (live, CONTAINER_CREATE.published(json.loads(live))):
        shown = docker_event(envelope, data)
        assert shown is not None and b"hush" not in shown.line
        lines.append(orjson.loads(shown.line)["Actor"]["Attributes"])
    assert lines == [SHOWN, SHOWN]
