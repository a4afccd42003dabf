"""A container's output on the bus, for containers with the log driver `nats`."""

from typing import Literal

from seaway_contracts.base import Payload


class LogLine(Payload):
    """A line without its newline. `time`: RFC 3339 with nanoseconds; `partial`: the stream's next line continues it.

    Invalid UTF-8 is replaced; the node's own log has the original. `id` is unique in its container: a repeated line, as
    after a restart of the agent, has the same id.
    """

    stream: Literal["stdout", "stderr"]
    time: str
    text: str = ""
    partial: bool = False
    id: str = ""


class LogLines(Payload):
    """Lines of one container, in the order of writing."""

    lines: tuple[LogLine, ...] = ()


class PublishLines(Payload):
    """Publish lines of one of the node's containers.

    A JetStream stream that captures the lines drops a repeat with the same message id.
    """

    container: str
    message_id: str
    lines: LogLines
