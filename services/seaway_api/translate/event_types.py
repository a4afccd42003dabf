"""The form of a stream of events, by the client's `Accept` (API 1.52 of moby, which takes it in all versions). Pure."""

from collections.abc import Iterable
from typing import Final

from seaway_docker.streams import JSON_STREAM

JSON_SEQUENCE: Final = "application/json-seq"
RECORD: Final = b"\x1e"
"""Goes before each text of a JSON sequence (RFC 7464); a line feed goes behind it in all forms."""
_OFFERED: Final = ("application/jsonl", "application/x-ndjson", JSON_SEQUENCE)


def stream_type(accepted: Iterable[str]) -> str:
    """The offered type that the client names and likes best; JSON's where it names none of them (`*/*` does not)."""
    named = [_weighted(part) for header in accepted for part in header.split(",")]
    chosen = [(weight, -_OFFERED.index(kind), kind) for kind, weight in named if kind in _OFFERED and weight > 0]
    return max(chosen)[2] if chosen else JSON_STREAM


def _weighted(part: str) -> tuple[str, float]:
    kind, *parameters = (word.strip().lower() for word in part.split(";"))
    weight = next((word.removeprefix("q=") for word in parameters if word.startswith("q=")), "1")
    try:
        return kind, float(weight)
    except ValueError:
        return kind, 0.0
