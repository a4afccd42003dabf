"""The NATS services protocol (ADR-32): every service answers `$SRV.PING`, `INFO` and `STATS`."""

import json
import secrets
import time
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Final

from seaway_bus.transport import Message, Subscription, Transport, TransportError
from seaway_contracts.ids import check_node
from seaway_kit.tasks import Tasks

_TYPE: Final = "io.nats.micro.v1"
_PREFIX: Final = "seaway-"


def copy_of(answer: bytes) -> tuple[str, str] | None:
    """The service and the node of the process that gave this answer to PING; None if that is no process of Seaway."""
    try:
        found = json.loads(answer)
        name, node = str(found["name"]), check_node(found["metadata"]["node"])
    except (ValueError, TypeError, KeyError):
        return None
    return (name.removeprefix(_PREFIX), node) if name.startswith(_PREFIX) else None


@dataclass
class Endpoint:
    """A served subject and its statistics. Times in nanoseconds."""

    name: str
    subject: str
    queue: str = ""
    requests: int = 0
    errors: int = 0
    last_error: str = ""
    processing_ns: int = 0

    def count(self, took_s: float, error: str) -> None:
        """Count one request and its error (empty: none)."""
        self.requests += 1
        self.processing_ns += int(took_s * 1e9)
        if error:
            self.errors += 1
            self.last_error = error

    def info(self) -> dict[str, Any]:
        """This endpoint in an INFO answer. Names there may hold no dot."""
        return self._head() | {"metadata": {}}

    def stats(self) -> dict[str, Any]:
        """This endpoint in a STATS answer."""
        return self._head() | {
            "num_requests": self.requests,
            "num_errors": self.errors,
            "last_error": self.last_error,
            "processing_time": self.processing_ns,
            "average_processing_time": self.processing_ns // self.requests if self.requests else 0,
        }

    def _head(self) -> dict[str, Any]:
        return {"name": self.name.replace(".", "_"), "subject": self.subject, "queue_group": self.queue}


@dataclass
class Micro:
    """Answers the protocol's requests for one process of a service, on the machine that is this `node`."""

    transport: Transport
    service: str
    version: str
    endpoints: list[Endpoint]
    tasks: Tasks
    node: str = ""
    id: str = field(default_factory=lambda: secrets.token_hex(11))
    started_ns: int = field(default_factory=time.time_ns)
    _subscriptions: list[Subscription] = field(default_factory=list)

    async def start(self) -> None:
        """Listen on the nine subjects that ADR-32 names."""
        for verb in ("PING", "INFO", "STATS"):
            for suffix in ("", f".{self.name}", f".{self.name}.{self.id}"):
                subject = f"$SRV.{verb}{suffix}"
                self._subscriptions.append(await self.transport.subscribe(subject, self._received))

    async def close(self) -> None:
        """Stop listening."""
        for subscription in self._subscriptions:
            await subscription.close()

    @property
    def name(self) -> str:
        """The service's name on the bus."""
        return f"{_PREFIX}{self.service}"

    def answer(self, verb: str) -> dict[str, Any]:
        """The answer to PING, INFO or STATS."""
        metadata = {"node": self.node} if self.node else {}
        head = {"name": self.name, "id": self.id, "version": self.version, "metadata": metadata}
        if verb == "INFO":
            about = f"Seaway's {self.service} service"
            body = {"description": about, "endpoints": [endpoint.info() for endpoint in self.endpoints]}
        elif verb == "STATS":
            started = datetime.fromtimestamp(self.started_ns / 1e9, UTC).isoformat().replace("+00:00", "Z")
            body = {"started": started, "endpoints": [endpoint.stats() for endpoint in self.endpoints]}
        else:
            body = {}
        return {"type": f"{_TYPE}.{verb.lower()}_response", **head, **body}

    def _received(self, message: Message) -> None:
        if message.reply:
            verb = message.subject.split(".")[1]
            self.tasks.spawn("micro", self._send(message.reply, json.dumps(self.answer(verb)).encode()))

    async def _send(self, subject: str, data: bytes) -> None:
        try:
            await self.transport.publish(subject, data)
        except TransportError:
            return
