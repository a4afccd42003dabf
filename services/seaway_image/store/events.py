"""Image events: what happened to which image, on its way to the stream of events."""

import contextlib
import logging
import sqlite3
from collections.abc import Sequence
from typing import Final

from seaway_bus.database import transaction
from seaway_bus.outbox import Deliver, Outbox
from seaway_bus.transport import Transport, TransportError
from seaway_contracts import catalogue
from seaway_contracts.base import Empty
from seaway_contracts.channels import EventChannel
from seaway_contracts.images import ImageEvent
from seaway_contracts.lifecycle import Envelope
from seaway_image.oci.digests import hex_of
from seaway_image.store.image_changes import ImageChange
from seaway_kit.tasks import Tasks

log = logging.getLogger(__name__)

_CHANNELS: Final[dict[str, EventChannel[ImageEvent]]] = {
    "pull": catalogue.IMAGE_PULL,
    "push": catalogue.IMAGE_PUSH,
    "tag": catalogue.IMAGE_TAG,
    "untag": catalogue.IMAGE_UNTAG,
    "delete": catalogue.IMAGE_DELETE,
    "load": catalogue.IMAGE_LOAD,
    "import": catalogue.IMAGE_IMPORT,
    "save": catalogue.IMAGE_SAVE,
}
_UNRECORDED: Final = frozenset({"save"})
"""These change no table: there is nothing to make up for after a kill."""


_TOLD: Final = "CREATE TABLE IF NOT EXISTS told (one INTEGER PRIMARY KEY CHECK (one = 1), id TEXT NOT NULL)"


class ImageEvents:
    """Publishes what changes of the image table tell, each once: through an outbox, which goes over lost connections.

    Beside the outbox stands which change was put into it last. So the next life sees in the table what it must make up
    for where this one was killed between both.
    """

    def __init__(
        self, db: sqlite3.Connection, transport: Transport, tasks: Tasks, node: str, deliver: Deliver | None = None
    ) -> None:
        """`deliver` stores events; without it they are written into the stream."""
        self._db = db
        self._transport = transport
        self._node = node
        self._outbox = Outbox(db, transport, tasks, deliver)
        db.execute(_TOLD)

    def start(self, last: Sequence[ImageChange] = ()) -> None:
        """Publish what an earlier life left: in the outbox, and of the `last` change that it made."""
        if last and last[-1].id != self._told():
            try:
                self._put(last)
            except sqlite3.Error as error:
                log.error("what the last change of images tells can't be written down, and is not told: %s", error)
        self._outbox.start()
        self._transport.on_reconnect(self._tell_nodes)
        self._tell_nodes()

    def tell(self, changes: Sequence[ImageChange]) -> None:
        """Publish what a change tells. Where the disk is full it is kept in memory only."""
        if not changes:
            return
        try:
            self._put(changes)
        except sqlite3.Error as error:
            log.error("events of images are kept in memory only: %s", error)
            self._outbox.discard()
            for one in changes:
                self._outbox.tell(*self._event(one))
        self._outbox.kick()
        if any(one.action == catalogue.IMAGE_DELETE.action for one in changes):
            self._tell_nodes()

    def _tell_nodes(self) -> None:
        """Have nodes drop the layers of deleted images. Nothing keeps this message: it is repeated where one may have
        been lost, that is, when this process starts and when its connection is back. A node that has lost its own
        connection looks by itself."""
        channel = catalogue.IMAGES_DELETED
        with contextlib.suppress(TransportError):
            self._transport.send(channel.subject(), channel.encode(Empty()))

    def _put(self, changes: Sequence[ImageChange]) -> None:
        with transaction(self._db):
            for one in changes:
                self._outbox.add(*self._event(one))
            if changes[-1].action not in _UNRECORDED:
                self._db.execute("INSERT OR REPLACE INTO told VALUES (1, ?)", (changes[-1].id,))

    def _told(self) -> str:
        found = self._db.execute("SELECT id FROM told").fetchone()
        return str(found[0]) if found is not None else ""

    def _event(self, one: ImageChange) -> tuple[EventChannel[ImageEvent], Envelope, ImageEvent]:
        channel = _CHANNELS[one.action]
        envelope = Envelope(
            id=one.id,
            node=self._node,
            noun=channel.noun,
            action=channel.action,
            subject_id=hex_of(one.image),
            time_ns=one.time_ns,
            cause=one.cause,
            actor=one.actor,
        )
        return channel, envelope, ImageEvent(image_id=one.image, ref=one.ref, attributes={"name": one.name})
