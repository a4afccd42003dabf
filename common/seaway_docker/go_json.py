"""Reads JSON into models as Go's encoding/json does: keys in any case, null for the zero value, no conversions."""

import json
import types
from functools import lru_cache
from typing import Annotated, Any, ClassVar, TypeVar, Union, get_args, get_origin

import orjson
from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    SerializerFunctionWrapHandler,
    ValidationError,
    model_serializer,
)

from seaway_docker.errors import InvalidParameter
from seaway_docker.go_syntax import syntax_error


class GoModel(BaseModel):
    """Base of all request bodies. Attributes are snake_case, JSON keys Docker's; every field has Go's zero value."""

    model_config = ConfigDict(strict=True, extra="ignore", populate_by_name=True, frozen=True)

    omit_empty: ClassVar[frozenset[str]] = frozenset()
    """Docker's names of the fields that are left out of JSON while they are empty (Go's `omitempty`)."""

    @classmethod
    def arranged(cls, given: dict[str, Any]) -> dict[str, Any]:
        """An object as it was parsed, with what old clients put elsewhere in its place. Keys may be in any case."""
        return given

    def to_json_fields(self) -> dict[str, Any]:
        """The fields under Docker's names, as inspect shows them."""
        return self.model_dump(by_alias=True)

    @model_serializer(mode="wrap")
    def _serialise(self, handler: SerializerFunctionWrapHandler) -> dict[str, Any]:
        fields: dict[str, Any] = handler(self)
        for name in self.omit_empty:
            # None, "", [], {} are empty; 0 and False are too, unless the field is a pointer in Go (default None).
            if fields.get(name) == {} and _is_object(type(self), name):
                continue  # a pointer to an empty object isn't empty
            if name in fields and (
                fields[name] in (None, "", [], {}) or fields[name] == _fields(type(self))[name.lower()][2]
            ):
                del fields[name]
        return fields


def _text_or_list(value: object) -> object:
    return [value] if isinstance(value, str) else value


Int64 = Annotated[int, Field(ge=-(2**63), le=2**63 - 1)]
Uint16 = Annotated[int, Field(ge=0, le=2**16 - 1)]
Uint32 = Annotated[int, Field(ge=0, le=2**32 - 1)]
Uint64 = Annotated[int, Field(ge=0, le=2**64 - 1)]
StrSlice = Annotated[list[str], BeforeValidator(_text_or_list)]
"""A list of strings that may also be written as one string (Go's strslice.StrSlice)."""

Body = TypeVar("Body", bound=GoModel)


def decode_body(model: type[Body], raw: bytes) -> Body:
    """Parse a request body. Raises InvalidParameter (400) with a sentence in Docker's words."""
    if not raw.strip():
        raise InvalidParameter("invalid JSON: got EOF while reading request body")
    try:
        data = orjson.loads(raw)
    except orjson.JSONDecodeError as error:
        raise _syntax_error(raw, error) from error
    return read_body(model, data)


def read_body(model: type[Body], data: object) -> Body:
    """Build the model from parsed JSON; null is an empty object. Raises InvalidParameter."""
    try:
        return model.model_validate({} if data is None else normalise(data, model))
    except ValidationError as error:
        raise InvalidParameter(_type_error(error)) from error


def normalise(value: object, annotation: Any) -> object:
    """Give keys their exact case and nulls their zero value, guided by the type; wrong types are left to validation."""
    annotation = _bare(annotation)
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return _normalise_object(value, annotation)
    origin = get_origin(annotation)
    if origin is list and isinstance(value, list):
        (item_type,) = get_args(annotation)
        return [_item(item, item_type) for item in value]
    if origin is dict and isinstance(value, dict):
        item_type = get_args(annotation)[1]
        return {key: _item(item, item_type) for key, item in value.items()}
    return value


def _normalise_object(value: object, model: type[BaseModel]) -> object:
    if not isinstance(value, dict):
        return value
    if issubclass(model, GoModel):
        value = model.arranged(value)
    fields = _fields(model)
    result: dict[str, object] = {}
    for key, item in value.items():
        known = fields.get(key.lower())
        if known is not None and item is not None:
            result[known[0]] = normalise(item, known[1])
    return result


def _item(value: object, annotation: Any) -> object:
    """An element of a list or map: null becomes the zero value of its type, or stays where the type has null."""
    if value is not None:
        return normalise(value, annotation)
    return None if _is_optional(annotation) else _zero(_bare(annotation))


def _zero(annotation: Any) -> object:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return {}
    constructor = get_origin(annotation) or annotation
    return constructor() if constructor in (str, int, bool, list, dict) else None


@lru_cache(maxsize=128)
def _fields(model: type[BaseModel]) -> dict[str, tuple[str, Any, Any]]:
    """Lower-case key -> (exact key, type, default)."""
    return {
        (info.alias or name).lower(): (info.alias or name, info.annotation, info.default)
        for name, info in model.model_fields.items()
    }


@lru_cache(maxsize=1024)
def _is_object(model: type[BaseModel], name: str) -> bool:
    annotation = _bare(_fields(model)[name.lower()][1])
    return isinstance(annotation, type) and issubclass(annotation, BaseModel)


@lru_cache(maxsize=1024)
def _is_optional(annotation: Any) -> bool:
    return get_origin(annotation) in (Union, types.UnionType) and type(None) in get_args(annotation)


@lru_cache(maxsize=1024)
def _bare(annotation: Any) -> Any:
    """The type without `| None` and `Annotated`."""
    while True:
        if get_origin(annotation) is Annotated:
            annotation = get_args(annotation)[0]
        elif _is_optional(annotation):
            annotation = next(part for part in get_args(annotation) if part is not type(None))
        else:
            return annotation


_GO_TYPES = {
    "string_type": "string",
    "int_type": "int",
    "int_from_float": "int",
    "bool_type": "bool",
    "list_type": "list",
    "dict_type": "map",
    "model_type": "object",
    "greater_than_equal": "int",
    "less_than_equal": "int",
}


def _type_error(error: ValidationError) -> str:
    first = error.errors(include_url=False, include_context=False)[0]
    path = ".".join(str(part) for part in first["loc"]) or "the body"
    wanted = _GO_TYPES.get(first["type"])
    if wanted is None:
        return f"invalid JSON: {first['msg']} in field {path}"
    return f"invalid JSON: json: cannot unmarshal {_json_kind(first['input'])} into field {path} of type {wanted}"


def _json_kind(value: object) -> str:
    if isinstance(value, bool):
        return "bool"
    if isinstance(value, (int, float)):
        return f"number {value}"
    if isinstance(value, str):
        return "string"
    return "array" if isinstance(value, list) else "object"


def _syntax_error(raw: bytes, error: orjson.JSONDecodeError) -> InvalidParameter:
    text = raw.decode("utf-8", "replace").lstrip(" \t\r\n")
    try:
        json.JSONDecoder().raw_decode(raw.decode("utf-8").lstrip())
    except (ValueError, RecursionError):
        return InvalidParameter(f"invalid JSON: {syntax_error(text) or error}")
    return InvalidParameter("unexpected content after JSON")
