"""Byte streams: their subjects, and the services that use them (`NODE_STREAMS`, `SERVICE_STREAMS`)."""

from typing import Final

from seaway_contracts.catalogue.declare import API, IMAGE
from seaway_contracts.channels import DO, ROOT, TELL, Template

TO_SERVER: Final = "in"
FROM_SERVER: Final = "out"
"""Directions of a byte stream, seen from the serving side."""
STREAM_TEMPLATE: Final = Template(f"{ROOT}.stream.{{stream}}.{{direction}}")
"""The subjects of streams between two services."""
SERVICE_STREAMS: Final = frozenset({API, IMAGE})
"""The services that open and serve streams between services."""
TO_NODE: Final = Template(f"{DO}.stream.{{stream}}")
FROM_NODE: Final = Template(f"{TELL}.stream.{{stream}}")
NODE_STREAMS: Final = frozenset({API})
"""The services that open streams to a node's agent."""
REPLY_UNDER: Final = f"{TELL}.reply"
"""The subjects on which a node's agent answers: with its node's name, so that it can't answer for another node."""
_LATER: Final = "_"


def stream_subject(name: str, direction: str) -> str:
    """The subject for one direction of a stream. Raises BadToken.

    The stream's name is an id; `<node>.<id>` if a node's agent serves it.
    """
    node, dot, identifier = name.rpartition(".")
    identifier = identifier.partition(_LATER)[0]
    if not dot:
        return STREAM_TEMPLATE.subject(stream=identifier, direction=direction)
    return (TO_NODE if direction == TO_SERVER else FROM_NODE).subject(node=node, stream=identifier)


def later_stream(name: str, number: int) -> str:
    """A name for stream number `number` that reuses the subjects of the stream `name`."""
    return f"{name}{_LATER}{number}" if number else name
