"""A container's output on the bus, for containers with the log driver `nats`."""

from typing import Literal

from seaway_contracts.base import Payload


class LogLine(Payload):
    """A line without its end. `time` in RFC 3339 with nanoseconds; a `partial` one goes on in the next of its stream.

    What isn't UTF-8 is replaced; the node's own log has it as it was. `id` is the line's own within its container: one
    that comes twice, as after a restart of the agent, has the same.
    """

    stream: Literal["stdout", "stderr"]
    time: str
    text: str = ""
    partial: bool = False
    id: str = ""


class LogLines(Payload):
    """Lines of one container, in the order in which they were written."""

    lines: tuple[LogLine, ...] = ()


class PublishLines(Payload):
    """Publish lines of one of the node's containers under a message id, by which a stream drops a repeat."""

    container: str
    message_id: str
    lines: LogLines
