"""Makes a process speak as the last release did: loaded at its start, where PYTHONPATH names this directory.

What a release wrote into its catalogue is all that such a process sends and all that it reads: fields that came later
are dropped on both ways, calls that came later are not served, and fail as where nobody serves them. (What a release
did with the fields that it had can only be seen by running it.)
"""

import json
import os
import sys
from typing import Any, TypeVar

VARIABLE = "SEAWAY_RELEASED_CATALOGUE"
Json = Any
C = TypeVar("C")


def main() -> None:
    """Put the release's fields between the channels and the bus."""
    from seaway_bus import bus
    from seaway_contracts import channels, errors
    from seaway_contracts.asyncapi import call_name

    with open(os.environ[VARIABLE]) as file:
        components = json.load(file)["components"]
    pruner = _Pruner(components["messages"], components["schemas"])
    pruner.between(channels.EventChannel, "encode", "decode", _told)
    pruner.after(channels.EventChannel, "published", lambda one: f"event.{one.noun}.{one.action}")
    pruner.between(channels.MessageChannel, "encode", "decode", lambda one: one.name)
    pruner.between(channels.CallChannel, "encode", "decode", call_name)
    pruner.between(channels.CallChannel, "encode_reply", "decode_reply", lambda one: f"{call_name(one)}.reply")

    serve, ask = bus.Bus.serve, bus.Bus.ask

    async def serve_known(self: Any, channel: Any, *words: Any, **given: Any) -> None:
        if call_name(channel) in components["messages"]:
            await serve(self, channel, *words, **given)

    async def ask_known(self: Any, channel: Any, *words: Any, **given: Any) -> Any:
        if call_name(channel) not in components["messages"]:
            raise errors.unavailable(f"{call_name(channel)} came later than this release")
        return await ask(self, channel, *words, **given)

    bus.Bus.serve, bus.Bus.ask = serve_known, ask_known  # type: ignore[method-assign]


def _told(event: Any) -> str:
    """An event as its owner says it: agents tell all of the body, services publish it."""
    return f"{'told' if event.owner == 'agent' else 'event'}.{event.noun}.{event.action}"


class _Pruner:
    def __init__(self, messages: Json, schemas: Json) -> None:
        self._messages, self._schemas = messages, schemas

    def between(self, kind: Any, encode: str, decode: str, name: Any) -> None:
        """Wrap both methods of a kind of channels."""
        send, receive = getattr(kind, encode), getattr(kind, decode)
        setattr(kind, encode, lambda channel, body: self._pruned(name(channel), send(channel, body)))
        setattr(kind, decode, lambda channel, data: receive(channel, self._pruned(name(channel), data)))

    def after(self, kind: Any, encode: str, name: Any) -> None:
        """Wrap a method that only sends."""
        send = getattr(kind, encode)
        setattr(kind, encode, lambda channel, body: self._pruned(name(channel), send(channel, body)))

    def _pruned(self, name: str, data: bytes) -> bytes:
        message = self._messages.get(name)
        if message is None:
            return data
        return json.dumps(self._prune(json.loads(data), message["payload"])).encode()

    def _prune(self, value: Json, schema: Json) -> Json:
        if "$ref" in schema:
            return self._prune(value, self._schemas[schema["$ref"].rpartition("/")[2]])
        if "anyOf" in schema:
            fitting = [one for one in schema["anyOf"] if self._fits(value, one)]
            return self._prune(value, fitting[0]) if fitting else value
        if isinstance(value, list):
            return self._prune_list(value, schema)
        if isinstance(value, dict):
            return self._prune_object(value, schema)
        return value

    def _prune_list(self, value: list[Json], schema: Json) -> list[Json]:
        if "prefixItems" in schema:
            return [self._prune(one, part) for one, part in zip(value, schema["prefixItems"], strict=False)]
        return [self._prune(one, schema.get("items", {})) for one in value]

    def _prune_object(self, value: dict[str, Json], schema: Json) -> dict[str, Json]:
        properties = schema.get("properties")
        if properties is None:
            others = schema.get("additionalProperties")
            return {key: self._prune(one, others) if isinstance(others, dict) else one for key, one in value.items()}
        return {key: self._prune(one, properties[key]) for key, one in value.items() if key in properties}

    def _fits(self, value: Json, schema: Json) -> bool:
        if "$ref" in schema:
            schema = self._schemas[schema["$ref"].rpartition("/")[2]]
        kinds = {"object": dict, "array": list, "string": str, "null": type(None), "boolean": bool}
        return isinstance(value, kinds.get(schema.get("type", ""), (int, float)))


if VARIABLE in os.environ:
    try:
        main()
    except Exception as error:
        print(f"the release's catalogue can't be spoken: {error!r}", file=sys.stderr)
        os._exit(3)
