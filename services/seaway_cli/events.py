"""`seaway events`: reads the stream as the user `cli`, or as `api` where the records are asked for, too."""

import contextlib
import re
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from seaway_bus.ask_once import run_once
from seaway_bus.bus import Bus
from seaway_bus.stored_events import StoredEvents
from seaway_bus.transport import StreamSize
from seaway_cli.errors import CliError, usage
from seaway_cli.event_image import newest, read_image
from seaway_cli.event_view import Choice, Shown, formatter, parse_filter_words
from seaway_cli.permissions import API, CLI
from seaway_cli.tokens import Cluster
from seaway_contracts.catalogue import EVENT_STREAM
from seaway_contracts.errors import SeawayError
from seaway_contracts.lifecycle import CLUSTER
from seaway_docker.errors import InvalidParameter
from seaway_docker.timestamps import parse_timestamp
from seaway_kit.tasks import Tasks

Write = Callable[[str], None]


@dataclass(frozen=True, kw_only=True)
class EventOptions:
    """The options of `seaway events`, as they were given."""

    filters: Sequence[str] = ()
    nodes: Sequence[str] = ()
    since: str = ""
    until: str = ""
    form: str = ""
    follow: bool = True
    with_state: bool = False
    audit: bool = False


@dataclass(frozen=True)
class Plan:
    """What the options ask for. `after`: the stream's number behind which reading begins; None: at its end."""

    choice: Choice
    text: Callable[[Shown], str]
    after: int | None
    follow: bool
    with_state: bool

    @classmethod
    def of(cls, options: EventOptions, now_ns: int) -> "Plan":
        """Raises CliError for options that make no sense."""
        if options.with_state and options.since:
            raise usage("--with-state begins now: leave --since out, or leave --with-state out")
        if options.with_state and options.audit:
            raise usage("--with-state shows how things are, and --audit who changed them: give one of them")
        after = _sequence(options.since)
        try:
            since_ns = parse_timestamp(options.since, now_ns) if options.since and after is None else 0
            until_ns = parse_timestamp(options.until, now_ns) if options.until else None
            filters, text = parse_filter_words(options.filters), formatter(options.form, audit=options.audit)
        except InvalidParameter as error:
            raise usage(f"{error}; write a time, 10m for ten minutes ago, or seq:N") from None
        except ValueError as error:
            raise usage(str(error)) from None
        if until_ns is not None and since_ns > until_ns:
            raise usage(f"--since {options.since} is later than --until {options.until}")
        if after is None and (options.since or not (options.follow or options.with_state)):
            after = 0
        choice = Choice(filters, frozenset(options.nodes), options.audit, since_ns, until_ns)
        return cls(choice, text, after, options.follow, options.with_state)

    @property
    def end_ns(self) -> int | None:
        """When reading ends; None: never, 0: with what is stored by now."""
        return self.choice.until_ns if self.follow else 0


def _sequence(since: str) -> int | None:
    found = re.fullmatch(r"seq:([0-9]{1,18})", since.strip())
    if found is None and since.startswith("seq:"):
        raise usage(f"--since {since}: write seq: and the number of the last event that you have")
    return int(found[1]) if found else None


def show(cluster: Cluster, options: EventOptions, write: Write) -> None:
    """Write a line for each event. Raises CliError."""
    plan = Plan.of(options, time.time_ns())

    async def read(bus: Bus, _: Tasks) -> None:
        size = await bus.transport.stream_size(EVENT_STREAM.name)
        if plan.with_state:
            await _state_and_changes(bus, plan, size, write)
            return
        after = size.last if plan.after is None else plan.after
        check_place(after, size)
        reading = StoredEvents(bus.transport, after=after, start_ns=plan.choice.since_ns)
        await _write_events(reading, plan, plan.choice.takes, write)

    user = API if plan.with_state else CLI
    user, password = (user, cluster.password(user)) if cluster.passwords else ("", "")
    try:
        run_once(read, url=cluster.url, user=user, password=password, ca=cluster.ca)
    except SeawayError as error:
        raise CliError(f"{error.message}; `seaway doctor` says more") from None


def check_place(after: int, size: StreamSize) -> None:
    """Say it if events behind that place are gone. Raises CliError if the stream has never been there."""
    if after > size.last:
        raise CliError(f"the stream ends at {size.last}, before {after}: is this another cluster's number?")
    if 0 < after < size.first - 1:
        print(f"seaway: the events {after + 1} to {size.first - 1} are not stored any more", file=sys.stderr)


async def _state_and_changes(bus: Bus, plan: Plan, size: StreamSize, write: Write) -> None:
    image = await newest(bus.transport, size.last)
    async for line in read_image(bus, image):
        if line.envelope.noun == CLUSTER or plan.choice.takes(line):  # the end of the state always
            write(plan.text(line))
    if plan.follow:
        reading = StoredEvents(bus.transport, after=image.start)
        await _write_events(reading, plan, lambda event: image.lacks(event) and plan.choice.takes(event), write)


async def _write_events(reading: StoredEvents, plan: Plan, takes: Callable[[Shown], bool], write: Write) -> None:
    async with contextlib.aclosing(reading.until(plan.end_ns)) as events:
        async for event in events:
            shown = Shown.of(event.envelope, event.data, event.stream_seq)
            if takes(shown):
                write(plan.text(shown))
