"""Byte streams: their subjects. Who may open one says who may use them (`NODE_STREAMS`, `SERVICE_STREAMS`)."""

from typing import Final

from seaway_contracts.catalogue.declare import API, IMAGE
from seaway_contracts.channels import DO, ROOT, TELL, Template

TO_SERVER: Final = "in"
FROM_SERVER: Final = "out"
"""Directions of a byte stream, as its opener's partner has them."""
STREAM_TEMPLATE: Final = Template(f"{ROOT}.stream.{{stream}}.{{direction}}")
"""Between two services."""
SERVICE_STREAMS: Final = frozenset({API, IMAGE})
"""Who opens and serves those."""
TO_NODE: Final = Template(f"{DO}.stream.{{stream}}")
FROM_NODE: Final = Template(f"{TELL}.stream.{{stream}}")
NODE_STREAMS: Final = frozenset({API})
"""Who opens streams that a node's agent serves."""
REPLY_UNDER: Final = f"{TELL}.reply"
"""Where a node's agent answers what it is asked: under its own name, so that it can answer for no other node."""
_LATER: Final = "_"


def stream_subject(name: str, direction: str) -> str:
    """Where bytes of a stream go. Its name is an id; `<node>.<id>` where a node's agent serves it. Raises BadToken."""
    node, dot, identifier = name.rpartition(".")
    identifier = identifier.partition(_LATER)[0]
    if not dot:
        return STREAM_TEMPLATE.subject(stream=identifier, direction=direction)
    return (TO_NODE if direction == TO_SERVER else FROM_NODE).subject(node=node, stream=identifier)


def later_stream(name: str, number: int) -> str:
    """The name of the `number`th stream that has the subjects of the stream `name` after it."""
    return f"{name}{_LATER}{number}" if number else name
