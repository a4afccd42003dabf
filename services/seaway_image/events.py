"""Image events: what happened to which image, on its way to the events stream."""

import secrets
import sqlite3
import time
from typing import Final

from seaway_bus.outbox import Outbox
from seaway_bus.transport import Transport
from seaway_contracts import catalogue
from seaway_contracts.channels import EventChannel
from seaway_contracts.images import ImageEvent
from seaway_contracts.lifecycle import Envelope
from seaway_image.digests import Digest, hex_of
from seaway_kit.tasks import Tasks

_CHANNELS: Final[dict[str, EventChannel[ImageEvent]]] = {
    "pull": catalogue.IMAGE_PULL,
    "tag": catalogue.IMAGE_TAG,
    "untag": catalogue.IMAGE_UNTAG,
    "delete": catalogue.IMAGE_DELETE,
    "load": catalogue.IMAGE_LOAD,
    "import": catalogue.IMAGE_IMPORT,
}


class ImageEvents:
    """Publishes image events through an outbox, so that none is lost while the bus is away."""

    def __init__(self, db: sqlite3.Connection, transport: Transport, tasks: Tasks, node: str) -> None:
        self._node = node
        self._outbox = Outbox(db, transport, tasks)

    def start(self) -> None:
        """Take up what an earlier life left."""
        self._outbox.start()

    def publish(
        self, action: str, image: Digest, ref: str = "", *, name: str = "", cause: str = "", actor: str = ""
    ) -> None:
        """`action` in Docker's words; `name` is Docker's actor attribute, `ref` the name that it was about."""
        channel = _CHANNELS[action]
        envelope = Envelope(
            id=secrets.token_hex(16),
            node=self._node,
            noun=channel.noun,
            action=channel.action,
            subject_id=hex_of(image),
            time_ns=time.time_ns(),
            cause=cause,
            actor=actor,
        )
        body = ImageEvent(image_id=image, ref=ref, attributes={"name": name or ref or image})
        self._outbox.tell(channel, envelope, body)
