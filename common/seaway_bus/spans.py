"""The spans of calls on the bus: one at the caller, and one below it where the call is answered."""

from typing import Any, Final

from seaway_bus.transport import Message
from seaway_contracts.channels import CallChannel
from seaway_contracts.errors import SeawayError
from seaway_kit import tracing
from seaway_kit.tracing import Span, SpanContext

_COMMAND: Final = "seaway.command"
_OUR_FAULT: Final = 500


def calling(channel: CallChannel[Any, Any], node: str, command: str) -> Span:
    """The span of a call; `node`: the one that is asked, empty for a service."""
    if not tracing.on():
        return tracing.OFF
    span = _named(channel, tracing.span(channel.name, "client"), command)
    if node:
        span.set("seaway.node", node)
    return span


def answering(channel: CallChannel[Any, Any], message: Message, command: str, actor: str) -> Span:
    """The span of the work that a request asks for."""
    if not tracing.on():
        return tracing.OFF
    caller = SpanContext.parse(message.headers.get(tracing.HEADER, ""))
    span = _named(channel, tracing.span(channel.name, "server", caller), command)
    if actor:
        span.set("seaway.actor", actor)
    return span


def refused(span: Span, error: SeawayError) -> None:
    """Note the error that a call is answered with. Only those that aren't the caller's fault fail the span."""
    span.set("seaway.code", error.code.value)
    if error.status >= _OUR_FAULT:
        span.fail(str(error))


def _named(channel: CallChannel[Any, Any], span: Span, command: str) -> Span:
    span.set("rpc.system", "nats")
    span.set("rpc.service", channel.service)
    span.set("rpc.method", channel.name)
    span.set(_COMMAND, command)
    return span
