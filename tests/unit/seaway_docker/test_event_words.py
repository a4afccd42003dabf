"""Events in Docker's words."""

import pytest

from seaway_docker.event_words import event_facts

BODY = {"image_id": "sha256:1", "ref": "host/thing:1", "attributes": {"name": "host/thing"}}


@pytest.mark.parametrize(
    ("action", "actor"),
    [("pull", "host/thing:1"), ("push", "host/thing:1"), ("tag", "sha256:1"), ("untag", "sha256:1")],
)
def test_the_actor_of_an_image_s_event(action: str, actor: str) -> None:
    assert event_facts("image", action, "n1", "1", BODY).actor_id == actor
