"""Documents of a released schema: examples of what the release says, and whether it can read what we say."""

from collections.abc import Mapping
from typing import Any, Final

from hypothesis import strategies as st
from tests.contract.compatibility import Json, resolved

_KINDS: Final[dict[str, type | tuple[type, ...]]] = {
    "string": str,
    "integer": int,
    "number": (int, float),
    "boolean": bool,
    "null": type(None),
    "array": list,
    "object": dict,
}
_TEXT: Final = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)


def examples(schema: Json, schemas: Mapping[str, Json]) -> st.SearchStrategy[Any]:
    """What a release with this schema may send: all that is required, some of the rest."""
    schema = resolved(schema, schemas)
    if "anyOf" in schema:
        return st.one_of([examples(one, schemas) for one in schema["anyOf"]])
    if "const" in schema or "enum" in schema:
        return st.sampled_from(schema.get("enum") or [schema["const"]])
    match schema.get("type"):
        case "object":
            return _objects(schema, schemas)
        case "array":
            return st.lists(st.deferred(lambda: examples(schema["items"], schemas)), max_size=2)
        case "string":
            return _TEXT
        case "integer":
            return st.integers(-(2**63), 2**63 - 1)
        case "number":
            return st.floats(allow_nan=False, allow_infinity=False)
        case "boolean":
            return st.booleans()
        case "null":
            return st.none()
    if not set(schema) - {"title", "description"}:  # any JSON
        return st.none() | st.booleans() | _TEXT
    raise ValueError(f"no example of {schema}")


def _objects(schema: Json, schemas: Mapping[str, Json]) -> st.SearchStrategy[Any]:
    more = schema.get("additionalProperties")
    if isinstance(more, dict):
        return st.dictionaries(_TEXT, examples(more, schemas), max_size=2)
    fields = {
        name: st.deferred(lambda field=field: examples(field, schemas))
        for name, field in schema.get("properties", {}).items()
    }
    required = set(schema.get("required", ()))
    needed = {name: strategy for name, strategy in fields.items() if name in required}
    optional = {name: strategy for name, strategy in fields.items() if name not in required}
    return st.fixed_dictionaries(needed, optional=optional)


def unreadable(value: Any, schema: Json, schemas: Mapping[str, Json], where: str = "body") -> str:
    """Why a release with this schema can't read a document; empty if it can. What it doesn't know, it ignores."""
    schema = resolved(schema, schemas)
    if "anyOf" in schema:
        whys = [unreadable(value, one, schemas, where) for one in schema["anyOf"]]
        return "" if "" in whys else whys[0]
    words = schema.get("enum") or ([schema["const"]] if "const" in schema else None)
    if words is not None and value not in words:
        return f"{where}: {value!r} is none of {words}"
    kind = schema.get("type")
    if kind is not None and (not isinstance(value, _KINDS[kind]) or (kind != "boolean" and value is True)):
        return f"{where}: {value!r} is no {kind}"
    if isinstance(value, list):
        parts = [(item, schema.get("items", {}), f"{where}[]") for item in value]
    elif isinstance(value, dict):
        missing = set(schema.get("required", ())) - set(value)
        if missing:
            return f"{where}: {sorted(missing)[0]} is missing"
        parts = _members(value, schema, where)
    else:
        return ""
    return next((why for part in parts if (why := unreadable(part[0], part[1], schemas, part[2]))), "")


def _members(value: Json, schema: Json, where: str) -> list[tuple[Any, Json, str]]:
    more = schema.get("additionalProperties")
    if isinstance(more, dict):
        return [(item, more, f"{where}.{name}") for name, item in value.items()]
    known = schema.get("properties", {})
    return [(value[name], known[name], f"{where}.{name}") for name in value if name in known]
