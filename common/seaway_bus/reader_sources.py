"""Consumers of the suite's stream for the streams of users, made for them after their requests were checked.

A user's stream asks for its consumer by JetStream's API. That API can't be given to the user's account: whoever makes a
consumer of the suite's stream chooses where it delivers to, past all permissions, and a user can have JetStream send
requests of any content, by the reply subject of a request of its own. So the request comes here. Where it may deliver
to and what it may read is not taken from it.
"""

import json
import re
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final

from seaway_bus.transport import Message, Transport, TransportError
from seaway_contracts.catalogue import EVENT_STREAM, USER_SOURCE, USER_STORED
from seaway_contracts.users import ACCOUNT_PREFIX, BusUser
from seaway_kit.tasks import Tasks

_QUEUE: Final = "metadata"
_ANSWER_S: Final = 5.0
_NS: Final = 10**9
_PLACE: Final = USER_SOURCE.split(".").index("{account}")
_LAST: Final = re.compile(r"(?:[A-Za-z0-9]+\.){0,2}[A-Za-z0-9]+")
_MOST_BODY: Final = 16 << 10
_START: Final = ("opt_start_seq", "opt_start_time")
_POLICIES: Final = ("all", "by_start_sequence", "by_start_time", "new")


def consumer_of(user: BusUser, request: Mapping[str, Any]) -> dict[str, Any] | None:
    """The consumer's configuration; None for a request that no user's stream makes.

    Only where it starts and the last tokens of where it delivers to are taken from the request.
    """
    config = request.get("config")
    if not isinstance(config, dict) or config.get("deliver_policy") not in _POLICIES:
        return None
    under, deliver = f"{USER_STORED.format(account=user.account)}.", config.get("deliver_subject")
    if not isinstance(deliver, str) or not deliver.startswith(under) or not _LAST.fullmatch(deliver[len(under) :]):
        return None
    start = {word: config[word] for word in _START if isinstance(config.get(word), int | str)}
    return {
        "deliver_policy": config["deliver_policy"],
        **start,
        "deliver_subject": deliver,
        "filter_subjects": list(user.subjects),
        "ack_policy": "none",
        "ack_wait": 22 * 3600 * _NS,
        "max_deliver": 1,
        "replay_policy": "instant",
        "idle_heartbeat": _NS,
        "flow_control": True,
        "inactive_threshold": 10 * _NS,
        "num_replicas": 0,
        "direct": True,
    }


class ReaderSources:
    """Serves the requests of users' streams, in one copy of metadata."""

    def __init__(
        self,
        transport: Transport,
        tasks: Tasks,
        user: Callable[[str], Awaitable[BusUser | None]],
        may: Callable[[str], bool],
    ) -> None:
        """`user` returns the user of a name, and raises TransportError or ValueError; `may`: whether one of that name
        may ask again now.
        """
        self._transport = transport
        self._tasks = tasks
        self._user = user
        self._may = may

    async def serve(self) -> None:
        """Begin to answer."""
        asked = f"{USER_SOURCE.format(account='*')}.CONSUMER.CREATE.{EVENT_STREAM.name}"
        for subject in (asked, f"{asked}.>"):
            await self._transport.subscribe(subject, self._heard, _QUEUE)

    def _heard(self, message: Message) -> None:
        name = message.subject.split(".")[_PLACE].removeprefix(ACCOUNT_PREFIX)
        if message.reply and len(message.data) <= _MOST_BODY and self._may(name):
            self._tasks.spawn(f"source-{name}", self._answer(name, message))

    async def _answer(self, name: str, message: Message) -> None:
        """Without an answer NATS asks again later."""
        try:
            user, request = await self._user(name), json.loads(message.data)
            config = consumer_of(user, request) if user is not None and isinstance(request, dict) else None
            if config is None:
                return
            body = json.dumps({"stream_name": EVENT_STREAM.name, "config": config}).encode()
            asked = f"$JS.API.CONSUMER.CREATE.{EVENT_STREAM.name}"
            answer = await self._transport.request(asked, body, {}, _ANSWER_S)
            await self._transport.publish(message.reply, answer.data)
        except (TransportError, ValueError):
            return
