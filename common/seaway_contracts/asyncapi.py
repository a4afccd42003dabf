"""The AsyncAPI 3.0 document of the catalogue. `python -m seaway_contracts.asyncapi > docs/asyncapi.json`."""

import json
from typing import Any, Final

from pydantic.json_schema import models_json_schema

from seaway_contracts import catalogue
from seaway_contracts.base import Payload
from seaway_contracts.channels import CallChannel, EventChannel, MessageChannel, Role, Template
from seaway_contracts.errors import ErrorBody
from seaway_contracts.version import VERSION

Json = dict[str, Any]
_TOKEN: Final = "One token of `[A-Za-z0-9_-]`, at most 128."
_ABOUT: Final = {
    "node": "The name of a node.",
    "id": "The id of the container, image, network or node that it is about.",
    "stream": "The id of one byte stream.",
    "direction": "`in` to the serving side, `out` to the side that opened the stream.",
}
_HEADERS: Final = {
    "Nats-Msg-Id": "The event's id, by which the stream drops repeats.",
    "ce-specversion": "1.0",
    "ce-id": "The event's id.",
    "ce-source": "/seaway/node/ and the node's name.",
    "ce-type": "io.seaway.v1. and noun.action.",
    "ce-subject": "The id of the thing that it is about.",
    "ce-time": "When it happened, RFC 3339 with nanoseconds.",
    "ce-timens": "When it happened, Unix nanoseconds.",
    "ce-datacontenttype": "application/json",
    "ce-node": "The node's name.",
    "ce-sequence": "Its place among the events of that thing; 0 where they have no order.",
    "ce-cause": "The id of the command that led to it.",
    "ce-actor": "Who asked.",
}
_COMMAND_HEADERS: Final = {
    "Seaway-Command": "The command's id; a repeat has the same and is carried out once.",
    "Seaway-Deadline": "Unix nanoseconds after which it is not carried out any more.",
    "Seaway-Actor": "Who asks.",
    "traceparent": "The caller's span (W3C Trace Context), where the caller is traced.",
}
_ERROR_HEADERS: Final = {
    "Nats-Service-Error": "The error's code.",
    "Nats-Service-Error-Code": "The HTTP status of the Docker API for it.",
}


def document() -> Json:
    """The whole document."""
    channels: Json = {}
    operations: Json = {}
    messages: Json = {"error": _message("An error instead of a reply.", ErrorBody, _ERROR_HEADERS)}
    for event in catalogue.EVENTS.values():
        _add_event(event, channels, operations, messages)
    for call in catalogue.CALLS:
        _add_call(call, channels, operations, messages)
    for message in catalogue.MESSAGES:
        _add_message(message, channels, operations, messages)
    _add_stream(channels, operations, messages)
    return {
        "asyncapi": "3.0.0",
        "info": {
            "title": "Seaway",
            "version": VERSION,
            "description": "What Seaway's services say to each other over NATS. Generated from the catalogue.",
        },
        "defaultContentType": "application/json",
        "channels": channels,
        "operations": operations,
        "components": {"messages": messages, "schemas": _schemas()},
    }


def render() -> str:
    """The document as text, always the same for the same catalogue."""
    return json.dumps(document(), indent=2, sort_keys=True, ensure_ascii=False) + "\n"


def _add_event(event: EventChannel[Any], channels: Json, operations: Json, messages: Json) -> None:
    name = f"event.{event.noun}.{event.action}"
    messages[name] = _message(event.about, event.public, _HEADERS)
    channels[name] = _channel(event.template, event.about, name)
    extra: Json = {"x-lossy": True} if event.lossy else {}
    operations[name] = _operation("send", name) | extra | {"x-owner": Role.METADATA.value}
    if event.owner is Role.AGENT:
        told = f"told.{event.noun}.{event.action}"
        messages[told] = _message(event.about, event.payload, _HEADERS)
        channels[told] = _channel(event.told_template, f"{event.about} Told by its agent, to services alone.", told)
        operations[told] = _operation("send", told) | extra | {"x-owner": event.owner.value}


def _add_call(call: CallChannel[Any, Any], channels: Json, operations: Json, messages: Json) -> None:
    name = call_name(call)
    reply = f"{name}.reply"
    messages[name] = _message(call.about, call.request, _COMMAND_HEADERS)
    messages[reply] = _message(f"The reply to {name}.", call.reply)
    channels[name] = _channel(call.template, call.about, name)
    channels[reply] = {"address": None, "messages": {part: _ref("messages", part) for part in (reply, "error")}}
    operations[name] = _operation("receive", name) | {
        "reply": {
            "address": {
                "location": "$message.header#/reply",
                "description": "The requester's inbox, or for an agent a subject of its node.",
            },
            "channel": {"$ref": f"#/channels/{_escaped(reply)}"},
        },
        "x-timeout-seconds": call.timeout_s,
        "x-repeat": call.repeat.value,
        "x-queue-group": call.queue,
        "x-owner": call.owner.value,
        "x-callers": sorted(call.callers),
    }


def call_name(call: CallChannel[Any, Any]) -> str:
    """The name of a call in the document."""
    return f"{'node.' if call.from_nodes else ''}{call.service}.{call.noun}.{call.verb}"


def _add_message(message: MessageChannel[Any], channels: Json, operations: Json, messages: Json) -> None:
    name = message.name
    messages[name] = _message(message.about, message.payload)
    channels[name] = _channel(message.template, message.about, name)
    operations[name] = _operation("send", name) | {
        "x-owner": message.owner.value,
        "x-hearers": sorted(message.hearers),
    }


def _add_stream(channels: Json, operations: Json, messages: Json) -> None:
    about = "A frame: kind, number, bytes; or a reader's credit (uint64)."
    messages["stream"] = {
        "title": "stream",
        "summary": about,
        "contentType": "application/octet-stream",
        "payload": {"type": "string", "format": "binary"},
    }
    for name, template, about in (
        ("stream", catalogue.STREAM_TEMPLATE, "Bytes with flow control between services."),
        ("stream.to_node", catalogue.TO_NODE, "Bytes with flow control to a node's agent."),
        ("stream.from_node", catalogue.FROM_NODE, "Bytes with flow control from a node's agent."),
    ):
        channels[name] = _channel(template, about, "stream")
        operations[name] = _operation("send", name)


def _channel(template: Template, about: str, message: str) -> Json:
    channel: Json = {
        "address": template.text,
        "description": about,
        "messages": {message: _ref("messages", message)},
    }
    if template.fields:
        channel["parameters"] = {field: {"description": f"{_ABOUT[field]} {_TOKEN}"} for field in template.fields}
    return channel


def _operation(action: str, channel: str) -> Json:
    return {"action": action, "channel": {"$ref": f"#/channels/{_escaped(channel)}"}}


def _message(about: str, payload: type[Payload], headers: dict[str, str] | None = None) -> Json:
    message: Json = {"summary": about, "payload": _ref("schemas", payload.__name__)}
    if headers:
        properties = {name: {"type": "string", "description": text} for name, text in headers.items()}
        message["headers"] = {"type": "object", "properties": properties}
    return message


def _schemas() -> Json:
    models: set[type[Payload]] = {ErrorBody, *(message.payload for message in catalogue.MESSAGES)}
    models.update(model for event in catalogue.EVENTS.values() for model in (event.payload, event.public))
    models.update(model for call in catalogue.CALLS for model in (call.request, call.reply))
    ordered = sorted(models, key=lambda model: model.__name__)
    _, found = models_json_schema(
        [(model, "validation") for model in ordered], ref_template="#/components/schemas/{model}"
    )
    schemas: Json = found["$defs"]
    return schemas


def _ref(kind: str, name: str) -> Json:
    return {"$ref": f"#/components/{kind}/{_escaped(name)}"}


def _escaped(name: str) -> str:
    """A name in a JSON pointer."""
    return name.replace("~", "~0").replace("/", "~1")


if __name__ == "__main__":
    print(render(), end="")
