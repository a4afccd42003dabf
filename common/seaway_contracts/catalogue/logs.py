"""Lines of containers with the log driver `nats`."""

from typing import Final

from seaway_contracts.base import Empty
from seaway_contracts.catalogue.declare import CLI, METADATA, ask, message
from seaway_contracts.channels import ROOT
from seaway_contracts.logs import LogLines, PublishLines

LOG_LINES: Final = message(
    "logs",
    f"{ROOT}.logs.{{node}}.{{id}}",
    LogLines,
    "Lines of a container with the log driver `nats`.",
    owner=METADATA,
    hearers=(CLI,),
)
PUBLISH_LINES: Final = ask(
    METADATA, "log.publish", PublishLines, Empty, "Publish these lines, unless another node holds the container."
)
