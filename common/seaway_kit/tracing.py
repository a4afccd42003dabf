"""Spans: one piece of work each, with ids that go into its logs and along with its calls to other processes.

Off, which is the default, there is no tracer, and a span costs one `if`. `trace_export` switches tracing on.
"""

import asyncio
import logging
import re
import secrets
import time
from contextvars import ContextVar, Token
from dataclasses import dataclass
from types import TracebackType
from typing import Final, Literal, Protocol

from seaway_contracts.errors import SeawayError

log = logging.getLogger(__name__)

HEADER: Final = "traceparent"
"""The W3C's header (Trace Context, level 1), for HTTP and for the bus."""
Kind = Literal["internal", "client", "server"]
_FORM: Final = re.compile(r"([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(-.*)?")
_NO_TRACE: Final = "0" * 32
_NO_SPAN: Final = "0" * 16
_FAILURES: Final = 400


@dataclass(frozen=True, slots=True)
class SpanContext:
    """Which span of which trace. `remote`: it is another process's."""

    trace_id: str
    span_id: str
    sampled: bool = True
    remote: bool = False

    @classmethod
    def parse(cls, header: str) -> "SpanContext | None":
        """The span that a `traceparent` names; None for anything that isn't one."""
        found = _FORM.fullmatch(header)
        if found is None:
            return None
        version, trace_id, span_id, flags, more = found.groups()
        if version == "ff" or (version == "00" and more) or trace_id == _NO_TRACE or span_id == _NO_SPAN:
            return None
        return cls(trace_id, span_id, bool(int(flags, 16) & 1), remote=True)

    @property
    def header(self) -> str:
        """The `traceparent` that names this span."""
        return f"00-{self.trace_id}-{self.span_id}-{'01' if self.sampled else '00'}"


class ExportedSpan(Protocol):
    """A span as a tracer keeps it."""

    @property
    def context(self) -> SpanContext:
        """Its ids."""

    def set(self, name: str, value: str | int) -> None:
        """Set an attribute."""

    def rename(self, name: str) -> None:
        """Change its name."""

    def end(self, failure: str) -> None:
        """It ends now; `failure` is empty if all went well."""


class Tracer(Protocol):
    """Makes spans."""

    def start(self, name: str, kind: Kind, parent: SpanContext | None) -> ExportedSpan:
        """A span that begins now; without a parent it begins a trace."""


class Span:
    """A piece of work, as a context manager. This one, `OFF`, records nothing."""

    __slots__ = ()
    header = ""
    """The `traceparent` that names it; empty where it isn't recorded."""

    def __enter__(self) -> "Span":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        return

    def set(self, name: str, value: str | int) -> None:
        """Set an attribute."""

    def rename(self, name: str) -> None:
        """Change its name."""

    def fail(self, why: str) -> None:
        """It has failed, though no exception leaves it."""


OFF: Final = Span()


class RecordedSpan(Span):
    """A span that a tracer keeps. An exception that leaves it fails it, but for a cancellation."""

    __slots__ = ("_attributes", "_began", "_exported", "_failure", "_name", "_token", "context", "ended")

    def __init__(self, name: str, exported: ExportedSpan) -> None:
        self._name = name
        self._exported = exported
        self._failure = ""
        self._attributes: dict[str, str | int] = {}
        self._began = time.perf_counter()
        self._token: Token[RecordedSpan | None] | None = None
        self.context = exported.context
        self.ended = False

    @property
    def header(self) -> str:  # type: ignore[override]
        return self.context.header

    def __enter__(self) -> Span:
        self._token = _current.set(self)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is not None and _is_failure(error):
            self.fail(str(error) or type(error).__name__)
        self._exported.end(self._failure)
        if log.isEnabledFor(logging.DEBUG):
            self._log()
        self.ended = True
        if self._token is not None and kind is not GeneratorExit:  # a coroutine may be closed in another context
            _current.reset(self._token)

    def set(self, name: str, value: str | int) -> None:
        self._attributes[name] = value
        self._exported.set(name, value)

    def rename(self, name: str) -> None:
        self._name = name
        self._exported.rename(name)

    def fail(self, why: str) -> None:
        self._failure = why

    def _log(self) -> None:
        about = "".join(f" {name}={value}" for name, value in self._attributes.items())
        outcome = f", failed: {self._failure}" if self._failure else ""
        took_ms = (time.perf_counter() - self._began) * 1000
        log.debug("span %s:%s took %.1f ms%s", self._name, about, took_ms, outcome)


def _is_failure(error: BaseException) -> bool:
    """Not if the work was given up, or if all is as it was asked for already (304)."""
    if isinstance(error, SeawayError):
        return error.status >= _FAILURES
    return not isinstance(error, asyncio.CancelledError | GeneratorExit)


class LogTracer:
    """Gives ids to logs, and exports nothing."""

    def start(self, name: str, kind: Kind, parent: SpanContext | None) -> ExportedSpan:
        """See `Tracer`."""
        trace_id = parent.trace_id if parent is not None else secrets.token_hex(16)
        return _LoggedSpan(SpanContext(trace_id, secrets.token_hex(8), parent is None or parent.sampled))


@dataclass(frozen=True, slots=True)
class _LoggedSpan:
    context: SpanContext

    def set(self, name: str, value: str | int) -> None:
        return

    def rename(self, name: str) -> None:
        return

    def end(self, failure: str) -> None:
        return


_tracer: Tracer | None = None
_current: ContextVar[RecordedSpan | None] = ContextVar("seaway_span", default=None)


def use(tracer: Tracer | None) -> None:
    """Have all later spans made by this tracer; None: make none."""
    global _tracer
    _tracer = tracer


def on() -> bool:
    """Whether spans are made."""
    return _tracer is not None


def span(name: str, kind: Kind = "internal", parent: SpanContext | None = None) -> Span:
    """A new span below `parent`, or below the one in hand. Enter it to make it the one in hand."""
    if _tracer is None:
        return OFF
    if parent is None and (above := current()) is not None:
        parent = above.context
    return RecordedSpan(name, _tracer.start(name, kind, parent))


def current() -> RecordedSpan | None:
    """The span in hand.

    A span that has ended is none: what outlives a request, such as a timer that it set, begins traces of its own.
    """
    found = _current.get()
    return None if found is None or found.ended else found
