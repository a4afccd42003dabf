"""How records stand in the buckets: JSON with a schema version `v`. Pure.

A release reads all versions up to its own; one that is newer is refused, as half-understood records
would be written back without what was not understood.
"""

from typing import Final, TypeVar

import orjson
from pydantic import ValidationError

from seaway_contracts.base import Payload
from seaway_contracts.errors import Code, SeawayError
from seaway_contracts.stored_forms import Form

FORM: Final = Form()
"""Of all records; a step is told the name of the model."""
HORIZON_KEY: Final = "_horizon"
P = TypeVar("P", bound=Payload)


class Horizon(Payload):
    """All events stored up to this sequence number of the stream are in the bucket's records."""

    seq: int


class NewerSchema(SeawayError):
    """A record was written by a newer release."""

    def __init__(self, message: str) -> None:
        super().__init__(Code.INTERNAL, message)


def stamp(body: bytes) -> bytes:
    """A JSON object with the schema version."""
    return b'{"v":%d%b%b' % (FORM.version, b"" if body == b"{}" else b",", body[1:])


def encode(payload: Payload) -> bytes:
    """A payload as it is stored."""
    return stamp(payload.model_dump_json(exclude_defaults=True).encode())


def decode(model: type[P], data: bytes) -> P:
    """What is stored; raises NewerSchema, or ValueError for something that is none of ours."""
    try:
        document = orjson.loads(data)
        version = document.get("v", 0)
        if version > FORM.version:
            raise NewerSchema(f"a {model.__name__} of schema {version}: this release knows {FORM.version}; update it")
        if version < FORM.version:
            data = orjson.dumps(FORM.upgraded(model.__name__, document, version))
        return model.model_validate_json(data)
    except (orjson.JSONDecodeError, ValidationError, AttributeError, TypeError) as error:
        raise ValueError(f"not a stored {model.__name__}: {error}") from None
