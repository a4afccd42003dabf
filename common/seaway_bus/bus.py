"""The typed bus over any `Transport`: calls with errors and dead-lines, messages, byte streams."""

import asyncio
import contextlib
import itertools
import logging
import re
import secrets
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Generic

from pydantic import ValidationError

from seaway_bus import deadlines, metrics, micro
from seaway_bus.deadlines import DEADLINE
from seaway_bus.down_nodes import DownNodes
from seaway_bus.local_connections import LocalListener
from seaway_bus.micro import Endpoint, Micro
from seaway_bus.nats_transport import Credentials, NatsTransport
from seaway_bus.repeats import PATIENCE_S, Asking, Outcomes
from seaway_bus.stream_subscriptions import StreamSubscriptions
from seaway_bus.streams import ByteStream, new_stream_id
from seaway_bus.transport import (
    Message,
    NoResponders,
    NoSpace,
    NotConnected,
    RequestTimeout,
    Subscription,
    TooLarge,
    Transport,
    TransportError,
)
from seaway_contracts.catalogue import BUCKETS, EVENT_STREAM, REPLY_UNDER
from seaway_contracts.channels import CallChannel, M, MessageChannel, Q, R, Repeat
from seaway_contracts.errors import Code, ErrorBody, SeawayError, unavailable
from seaway_contracts.lifecycle import MSG_ID
from seaway_kit.tasks import Tasks

log = logging.getLogger(__name__)

COMMAND: Final = "Seaway-Command"
ACTOR: Final = "Seaway-Actor"
ERROR: Final = "Nats-Service-Error"
ERROR_CODE: Final = "Nats-Service-Error-Code"
_INBOXES: Final = ("_INBOX.", "_R_.")
"""Prefixes of reply subjects: an inbox, and what a server replaces an inbox of another account with."""
_REPLIES_OF_NODES: Final = re.compile(re.escape(REPLY_UNDER).replace(r"\{node\}", "[^.]+") + r"\.")
_IN_HAND: Final = 4096
_PREPARED_S: Final = 0.05
_WARN_EVERY: Final = 100


@dataclass(frozen=True, slots=True)
class Command:
    """What a request carries: its id (the same for every repeat), who asks, and its dead-line.

    `deadline_ns`: until when it may be carried out, Unix ns; 0: the bus takes the channel's time-out. `node`: the node
    that asks, from the subject; empty for services.
    """

    id: str
    actor: str = ""
    deadline_ns: int = 0
    node: str = ""

    @classmethod
    def new(cls, actor: str = "") -> "Command":
        """A command with a fresh id."""
        return cls(secrets.token_hex(12), actor)


@dataclass(frozen=True, slots=True)
class Encoded(Generic[R]):
    """A reply that is JSON already: a handler encodes it once for many requests."""

    data: bytes


Handler = Callable[[Q, Command], Awaitable[R | Encoded[R]]]


class Bus:
    """One process's connection to the others."""

    def __init__(self, transport: Transport, tasks: Tasks | None = None, *, patience_s: float = PATIENCE_S) -> None:
        """`patience_s`: how long a repeatable call waits for a process that serves it."""
        self.transport = transport
        self.local_listener: LocalListener | None = None
        """Connects byte streams within this machine; None: they go over the bus."""
        self._stream_subscriptions = StreamSubscriptions(transport)
        self._patience_s = patience_s
        self._outcomes = Outcomes()
        self.down_nodes = DownNodes(patience_s)
        self._tasks = tasks or Tasks("bus")
        self._subscriptions: list[Subscription] = []
        self._micro: Micro | None = None
        self._endpoints: list[Endpoint] = []
        self._stopping = False
        self.losses = 0
        """How often the connection was lost. Each loss may lose what was published since the last flush."""
        transport.on_disconnect(self._lost)

    def _lost(self) -> None:
        self.losses += 1

    @classmethod
    async def connect(
        cls, url: str, *, name: str, user: str = "", password: str = "", ca: Path | None = None, seed: str = ""
    ) -> "Bus":
        """Connect to a NATS server; raises NotConnected if none is there. For the rest see `Credentials`."""
        credentials = Credentials(user, password, ca, seed)
        return cls(await NatsTransport.connect(url, name=name, credentials=credentials))

    @property
    def connected(self) -> bool:
        """Whether there is a connection now."""
        return self.transport.connected

    @property
    def trouble(self) -> str:
        """Why there is no connection, and for how long; empty while there is one."""
        return self.transport.trouble

    async def prepare(self, replicas: int = 1) -> None:
        """Make the events stream and the buckets, or update them to this release's configuration.

        Only metadata calls this, as it knows the number of replicas. A stream that another process made with one
        replica would have to be changed to three. nats-server 2.10 reports success for such a change in the stream's
        first moments, without making it.
        """
        await self.transport.ensure_stream(EVENT_STREAM, replicas)
        for bucket in BUCKETS:
            await self.transport.bucket(bucket, replicas)

    async def prepared(self) -> None:
        """Wait until metadata has made the events stream."""
        for attempt in itertools.count():
            try:
                await self.transport.last_sequence(EVENT_STREAM.name)
                return
            except TransportError as error:
                if attempt % _WARN_EVERY == _WARN_EVERY - 1:
                    log.warning("the stream of events can't be read (%s); metadata makes it: waiting", error)
            await asyncio.sleep(_PREPARED_S)

    async def stop_serving(self) -> None:
        """Stop taking requests; callers wait for the next process.

        Call it before closing what requests need. Requests in hand may still be answered, but not with errors that the
        closing causes.
        """
        self._stopping = True
        subscriptions, self._subscriptions = self._subscriptions, []
        for subscription in subscriptions:
            await subscription.close()

    async def close(self) -> None:
        """Stop serving and close the connection."""
        await self.stop_serving()
        if self._micro is not None:
            await self._micro.close()
        await self._tasks.close()
        await self.transport.close()

    # --- requests

    def new_stream(self, tasks: Tasks, node: str | None = None, service: str = "") -> ByteStream:
        """A new byte stream to a node's agent or to a service. This process is its opening side."""

        def new_name() -> str:
            identifier = self.local_listener.new_name() if self.local_listener is not None else new_stream_id()
            return identifier if node is None else f"{node}.{identifier}"

        subscription = self._stream_subscriptions.take(service if node is None else f".{node}", new_name)
        other = f"the agent of node {node}" if node is not None else f"the {service} service"
        return ByteStream(self.transport, subscription.name, "opening", tasks, self.local_listener, other, subscription)

    def serve_stream(self, name: str, tasks: Tasks) -> ByteStream:
        """The serving side of a stream that another process has opened."""
        return ByteStream(self.transport, name, "serving", tasks, self.local_listener)

    async def call(
        self,
        channel: CallChannel[Q, R],
        request: Q,
        *,
        node: str | None = None,
        command: Command | None = None,
        timeout_s: float | None = None,
    ) -> R:
        """Send a request and return its reply. Repeat the request as its channel allows.

        Raises the SeawayError that the other side raised, or UNAVAILABLE, TIMEOUT.
        """
        return channel.decode_reply(await self.ask(channel, request, node=node, command=command, timeout_s=timeout_s))

    async def ask(
        self,
        channel: CallChannel[Q, R],
        request: Q,
        *,
        node: str | None = None,
        command: Command | None = None,
        timeout_s: float | None = None,
    ) -> bytes:
        """As `call`, but return the reply's JSON."""
        limit = channel.timeout_s if timeout_s is None else timeout_s
        headers = _headers(command or Command.new(), limit)
        data, subject = channel.encode(request), channel.subject(node)
        to = node if node is not None and channel.to_node else ""
        asking = Asking(self.transport, subject, data, headers, channel.repeat, self._patience_s, to)
        started = time.perf_counter()
        try:
            async with self.down_nodes.call(to) if to else contextlib.nullcontext():
                reply = await asking.answer(limit + _GRACE_S)
        except TransportError as error:
            raise _unreachable(channel, to, error) from error
        finally:
            metrics.labelled(metrics.CALL_SECONDS, channel.service, channel.name).observe(time.perf_counter() - started)
        try:
            _raise_remote(reply)
        except SeawayError as error:
            if error.code is not Code.STALE or time.perf_counter() - started < limit:
                raise  # refused too early: the machines' clocks differ
            raise _unreachable(channel, to, RequestTimeout("refused, as it came late")) from error
        return reply.data

    async def serve(self, channel: CallChannel[Q, R], handler: Handler[Q, R], *, node: str | None = None) -> None:
        """Answer requests: each goes to one copy of a service, or to the agent of its `node`.

        Each request runs in a task of its own, which starts after the callbacks of all messages that arrived before it:
        a read after an event sees the event's effect. A repeated command (the same id) gets the first one's outcome: a
        node's always, a service's while this copy works on the first one.
        """
        subject = channel.template.wildcard() if channel.from_nodes else channel.subject(node)
        queue = channel.queue
        endpoint = Endpoint(channel.name, subject, queue)
        self._endpoints.append(endpoint)

        def received(message: Message) -> None:
            if not _answerable(channel, message):
                log.warning("refused a request on %s: its reply subject is not an inbox", message.subject)
                return
            if self._outcomes.join(message.subject, message.headers.get(COMMAND, ""), message):
                return
            if len(self._tasks) >= _IN_HAND:
                refusal = SeawayError(Code.UNAVAILABLE, f"{channel.service} is overloaded; try again later")
                self._tasks.spawn("refuse", self._refuse(message, refusal))
                return
            self._tasks.begin(channel.name, self._answer(channel, handler, endpoint, message))

        self._subscriptions.append(await self.transport.subscribe(subject, received, queue))

    async def refuse(self, channel: CallChannel[Q, R], error: SeawayError, *, node: str | None = None) -> Subscription:
        """Answer each request with this error, until the subscription is closed."""

        def received(message: Message) -> None:
            if _answerable(channel, message) and len(self._tasks) < _IN_HAND:
                self._tasks.spawn("refuse", self._refuse(message, error))

        return await self.transport.subscribe(channel.subject(node), received, channel.queue)

    async def announce(self, service: str, version: str, node: str = "") -> None:
        """Answer `$SRV.PING`, `INFO` and `STATS` (NATS ADR-32) for what this process serves."""
        self._micro = Micro(self.transport, service, version, self._endpoints, self._tasks, node)
        await self._micro.start()

    async def copies(self, wait_s: float) -> set[tuple[str, str]]:
        """The copies of services that answer within this time: service, and the node of its machine.

        Raises TransportError.
        """
        answers = await self.transport.ask_all("$SRV.PING", b"", wait_s)
        return {copy for answer in answers if (copy := micro.copy_of(answer.data)) is not None}

    async def _answer(
        self, channel: CallChannel[Q, R], handler: Handler[Q, R], endpoint: Endpoint, message: Message
    ) -> None:
        started = time.perf_counter()
        code = "ok"
        metrics.IN_HAND.inc()
        try:
            command = _command(channel, message)
            if deadlines.passed(message.headers, command.deadline_ns):
                raise SeawayError(Code.STALE, f"{channel.name} came after its dead-line and was not carried out")
            data = await self._outcome(channel, handler, message, command)
            for request in (message, *self._outcomes.joined(message.subject, command.id)):
                await self._reply(request, data)
        except SeawayError as error:
            code = error.code.value
            await self._refuse_all(message, error)
        except Exception as error:
            refusal = self._unexpected(channel, error)
            code = refusal.code.value
            if channel.repeat is not Repeat.UNANSWERED or not self._stopping:
                await self._refuse_all(message, refusal)
        finally:
            took = time.perf_counter() - started
            metrics.IN_HAND.dec()
            endpoint.count(took, "" if code == "ok" else code)
            metrics.labelled(metrics.SERVED_SECONDS, channel.name).observe(took)
            metrics.labelled(metrics.SERVED, channel.name, code).inc()

    def _unexpected(self, channel: CallChannel[Q, R], error: Exception) -> SeawayError:
        """The error to answer with. While the process stops, any failure may come from that."""
        if self._stopping:
            log.info("%s %s was given up, as this process ends: %r", channel.service, channel.name, error)
            return unavailable(f"{channel.service} is being stopped; try again when it is back")
        log.error("%s %s failed", channel.service, channel.name, exc_info=error)
        text = f"{channel.service} failed at {channel.name}: {error or type(error).__name__}"
        return SeawayError(Code.INTERNAL, text)

    async def _outcome(
        self, channel: CallChannel[Q, R], handler: Handler[Q, R], message: Message, command: Command
    ) -> bytes:
        async def work() -> bytes:
            reply = await handler(channel.decode(message.data), command)
            return reply.data if isinstance(reply, Encoded) else channel.encode_reply(reply)

        if channel.repeat is Repeat.NEVER:
            return await work()
        return await self._outcomes.once(message.subject, command.id, work, remembered=bool(channel.to_node))

    async def _reply(self, message: Message, data: bytes) -> None:
        try:
            await self.transport.publish(message.reply, data)
        except TooLarge:
            text = f"the answer to {message.subject} is too large for the bus ({len(data)} bytes)"
            await self._refuse(message, SeawayError(Code.TOO_LARGE, text))
        except NotConnected:
            log.warning("an answer to %s was lost with the connection; the caller will ask again", message.subject)

    async def _refuse_all(self, message: Message, error: SeawayError) -> None:
        for request in (message, *self._outcomes.joined(message.subject, message.headers.get(COMMAND, ""))):
            await self._refuse(request, error)

    async def _refuse(self, message: Message, error: SeawayError) -> None:
        headers = {ERROR: error.code.value, ERROR_CODE: str(error.status)}
        data = error.body().model_dump_json(exclude_defaults=True).encode()
        try:
            await self.transport.publish(message.reply, data, headers)
        except TransportError:
            log.warning("a refusal of %s was lost with the connection", message.subject)

    # --- messages that are not stored

    async def publish(self, channel: MessageChannel[M], body: M, *, message_id: str = "", **tokens: str) -> None:
        """Publish a message to its current subscribers. A stream drops a second message with the same `message_id`.

        Returns when the message is on its way; `flush` waits until the server has it. Raises TransportError.
        """
        headers = {MSG_ID: message_id} if message_id else None
        await self.transport.publish(channel.subject(**tokens), channel.encode(body), headers)

    async def flush(self) -> None:
        """Wait until the server has all published messages. Raises TransportError."""
        await self.transport.flush()

    async def on_message(self, channel: MessageChannel[M], receive: Callable[[M], None]) -> None:
        """Call `receive` with each message. Drop a body that doesn't fit or names another node than its subject."""

        def received(message: Message) -> None:
            try:
                tokens = channel.template.parse(message.subject)
                body = channel.decode(message.data)
            except (ValueError, SeawayError) as error:
                log.warning("dropped a message (%s): %s", channel.name, error)
                return
            if "node" not in tokens or getattr(body, "node", tokens["node"]) == tokens["node"]:
                receive(body)

        self._subscriptions.append(await self.transport.subscribe(channel.template.wildcard(), received))


_GRACE_S: Final = 0.5


def _headers(command: Command, limit_s: float) -> dict[str, str]:
    headers = {COMMAND: command.id, ACTOR: command.actor}
    if command.deadline_ns:
        return headers | {DEADLINE: str(command.deadline_ns)}
    return headers | deadlines.headers(limit_s)


def _answerable(channel: CallChannel[Q, R], message: Message) -> bool:
    """Whether the reply subject is an inbox. On any other subject an answer might act as a command."""
    if message.reply.startswith(_INBOXES):
        return True
    return channel.to_node and _REPLIES_OF_NODES.match(message.reply) is not None


def _command(channel: CallChannel[Q, R], message: Message) -> Command:
    headers = message.headers
    deadline = headers.get(DEADLINE, "0")
    return Command(
        headers.get(COMMAND) or secrets.token_hex(12),
        headers.get(ACTOR, ""),
        int(deadline) if deadline.isdigit() else 0,
        channel.template.parse(message.subject)["node"] if channel.from_nodes else "",
    )


def _raise_remote(reply: Message) -> None:
    if ERROR not in reply.headers:
        return
    try:
        body = ErrorBody.model_validate_json(reply.data)
    except ValidationError:
        raise SeawayError(Code.INTERNAL, f"unreadable error: {reply.headers[ERROR]}") from None
    raise SeawayError.from_body(body)


def _unreachable(channel: CallChannel[Q, R], node: str, error: TransportError) -> SeawayError:
    who = f"node {node}" if node else f"the {channel.service} service"
    if isinstance(error, NoResponders):
        return SeawayError(Code.UNAVAILABLE, f"{who} is not there just now; try again when it is back")
    if isinstance(error, RequestTimeout):
        return SeawayError(Code.TIMEOUT, f"{who} did not answer {channel.name} in time; it may still be carried out")
    if isinstance(error, TooLarge):
        return SeawayError(Code.TOO_LARGE, f"the request {channel.name} is too large for the bus")
    if isinstance(error, NoSpace):
        return SeawayError(Code.NO_SPACE, "the bus has no space left to store messages; free disk space on its host")
    return SeawayError(Code.UNAVAILABLE, f"the bus can't be reached, so neither can {who}; try again when it is back")
