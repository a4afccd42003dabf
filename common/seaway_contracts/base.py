"""The base of every payload that crosses the bus."""

from pydantic import BaseModel, ConfigDict


class Payload(BaseModel):
    """A message body. Payloads only ever gain optional fields, so unknown ones are ignored."""

    model_config = ConfigDict(extra="ignore", frozen=True)


class Empty(Payload):
    """A body without content."""
