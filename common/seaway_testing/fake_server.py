"""An in-memory message server: subjects, queue groups, stored streams, buckets, and failures on demand."""

import itertools
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from seaway_bus.transport import Entry, Message, NoSpace, WrongRevision, check_key
from seaway_contracts.catalogue.streams import REPLY_UNDER
from seaway_contracts.channels import StreamConfig
from seaway_contracts.lifecycle import MSG_ID

Deliver = Callable[[Message], None]


@dataclass(eq=False)
class FakeSubscriber:
    """One subscription; `deliver` hands a message to the client's queue."""

    subject: str
    queue: str
    deliver: Deliver


@dataclass
class FakeStream:
    """Stored messages, oldest first, and the ids by which repeats are dropped."""

    config: StreamConfig
    messages: list[Message] = field(default_factory=list)
    ids: dict[str, int] = field(default_factory=dict)
    last: int = 0

    def append(self, subject: str, data: bytes, headers: Mapping[str, str], now_ns: int) -> int:
        """Store, unless the message id is known; the sequence number."""
        known = self.ids.get(headers.get(MSG_ID, ""))
        if known is not None:
            return known
        self.last += 1
        self.messages.append(Message(subject, data, dict(headers), stream_seq=self.last, stored_ns=now_ns))
        if MSG_ID in headers:
            self.ids[headers[MSG_ID]] = self.last
        return self.last


@dataclass
class FakeBucketData:
    """A bucket's entries; revisions grow with every write in the bucket, as in JetStream."""

    entries: dict[str, Entry] = field(default_factory=dict)
    revision: int = 0

    def write(self, key: str, value: bytes, expected: int | None) -> int:
        """Write at the expected revision (0: absent, None: whatever is there); the new one."""
        present = self.entries.get(check_key(key))
        if expected is not None and (present.revision if present else 0) != expected:
            raise WrongRevision(key)
        self.revision += 1
        self.entries[key] = Entry(key, value, self.revision)
        return self.revision

    def delete(self, key: str, expected: int | None) -> None:
        """Remove; gone already is no error."""
        present = self.entries.get(key)
        if present is None:
            return
        if expected is not None and present.revision != expected:
            raise WrongRevision(key)
        del self.entries[key]


class FakeServer:
    """What all fake transports of a test are connected to.

    Failures on demand: `stop` and `start`; `drop_replies` loses that many answers (the request was carried
    out all the same); `deliver_twice` repeats every live message; `full` refuses to store; `store_delay_s` passes
    between the delivery of a live message and its storing; streams that are `leaderless` can't be read. It says that it
    is `clustered`: then clients may miss live messages while their connection stands (`FakeTransport.deaf_to`).
    """

    def __init__(self, *, max_payload: int = 1 << 20, now_ns: Callable[[], int] = time.time_ns) -> None:
        self.max_payload = max_payload
        self.now_ns = now_ns
        self.up = True
        self.drop_replies = 0
        self.deliver_twice = False
        self.full = False
        self.clustered = False
        self.leaderless: set[str] = set()
        self.store_delay_s = 0.0
        self.streams: dict[str, FakeStream] = {}
        self.buckets: dict[str, FakeBucketData] = {}
        self.subscribers: list[FakeSubscriber] = []
        self.watchers: list[Callable[[bool], None]] = []
        self._numbers = itertools.count(1)
        self._turns = itertools.count()

    def stop(self) -> None:
        """Go down: all clients lose their connection, what is stored stays."""
        self.up = False
        for watcher in list(self.watchers):
            watcher(False)

    def start(self) -> None:
        """Come back."""
        self.up = True
        for watcher in list(self.watchers):
            watcher(True)

    def wipe(self) -> None:
        """Lose everything that was stored."""
        for stream in self.streams.values():
            stream.messages, stream.ids, stream.last = [], {}, 0
        for bucket in self.buckets.values():
            bucket.entries = {}

    def inbox(self, node: str = "") -> str:
        """A fresh reply subject; one of that node, where its agent is asked."""
        prefix = f"{REPLY_UNDER.format(node=node)}.fake" if node else "_INBOX.fake"
        return f"{prefix}.{next(self._numbers)}"

    def route(self, message: Message) -> bool:
        """Hand a message to whoever listens; whether anybody did."""
        if self.drop_replies and (message.subject.startswith("_INBOX.") or ".tell.reply." in message.subject):
            self.drop_replies -= 1
            return True
        targets = self._targets(message.subject)
        for subscriber in targets * (2 if self.deliver_twice else 1):
            subscriber.deliver(message)
        return bool(targets)

    def keep(self, subject: str, data: bytes, headers: Mapping[str, str]) -> int | None:
        """Store a message in the stream that takes its subject; None where there is no such stream."""
        for stream in self.streams.values():
            if any(matches(pattern, subject) for pattern in stream.config.subjects):
                if self.full:
                    raise NoSpace("the fake server's storage is full")
                return stream.append(subject, data, headers, self.now_ns())
        return None

    def _targets(self, subject: str) -> list[FakeSubscriber]:
        plain: list[FakeSubscriber] = []
        groups: dict[tuple[str, str], list[FakeSubscriber]] = {}
        for subscriber in self.subscribers:
            if not matches(subscriber.subject, subject):
                continue
            if subscriber.queue:
                groups.setdefault((subscriber.subject, subscriber.queue), []).append(subscriber)
            else:
                plain.append(subscriber)
        turn = next(self._turns)
        return plain + [members[turn % len(members)] for members in groups.values()]


def matches(pattern: str, subject: str) -> bool:
    """Whether a subscription to `pattern` gets what is published on `subject` (`*` one token, `>` one or more)."""
    wanted, given = pattern.split("."), subject.split(".")
    for place, token in enumerate(wanted):
        if token == ">":
            return len(given) > place
        if place >= len(given) or token not in ("*", given[place]):
            return False
    return len(wanted) == len(given)
