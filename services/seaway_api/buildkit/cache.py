"""The cache of a builder, for `docker system df` and `POST /build/prune`."""

from dataclasses import dataclass
from typing import Any, Final

from seaway_api.buildkit import messages
from seaway_api.buildkit.builder import Builder, NoBuilder
from seaway_api.buildkit.connections import ask_builder
from seaway_api.buildkit.grpc import GrpcError
from seaway_api.buildkit.messages import WrongMessage
from seaway_contracts.errors import unavailable
from seaway_docker.filters import Filters
from seaway_docker.timestamps import rfc3339nano

_DISK_USAGE: Final = "/moby.buildkit.v1.Control/DiskUsage"
_PRUNE: Final = "/moby.buildkit.v1.Control/Prune"
_FIELDS: Final = ("id", "parent", "type", "description", "inuse", "shared", "private")
_SECOND_NS: Final = 1_000_000_000


@dataclass(frozen=True)
class Pruned:
    """What a prune has taken away."""

    ids: tuple[str, ...] = ()
    reclaimed: int = 0


async def usage(builder: Builder) -> list[dict[str, Any]]:
    """The entries of its cache, as `BuildCache` of `GET /system/df`. Raises SeawayError."""
    answer = await _ask(builder, _DISK_USAGE, messages.encode("DiskUsageRequest"))
    return [_entry(record) for data in answer for record in messages.parse("DiskUsageResponse", data).record]


async def prune(builder: Builder, filters: Filters, *, everything: bool, keep_bytes: int, unused_ns: int) -> Pruned:
    """Prune it. `unused_ns`: only what nobody has used for so long. Raises SeawayError."""
    request = messages.encode(
        "PruneRequest", filter=prune_filter(filters), all=everything, keepBytes=keep_bytes, keepDuration=unused_ns
    )
    records = [messages.parse("UsageRecord", data) for data in await _ask(builder, _PRUNE, request)]
    return Pruned(tuple(record.ID for record in records), sum(record.Size for record in records))


def prune_filter(filters: Filters) -> list[str]:
    """Docker's filters in BuildKit's words (moby 26.1 builder-next, toBuildkitPruneInfo)."""
    found = []
    for name in _FIELDS:
        if name in filters:
            values = filters.get(name)
            found.append(f"{name}{'~=' if name == 'id' else '=='}{values[0]}" if values else name)
    return [",".join(found)] if found else []


async def _ask(builder: Builder, path: str, request: bytes) -> list[bytes]:
    try:
        return await ask_builder(builder, path, request)
    except (NoBuilder, GrpcError, ConnectionError, WrongMessage) as error:
        raise unavailable(f"the builder at {builder.place} gives no answer: {error}") from error


def _entry(record: Any) -> dict[str, Any]:
    return {
        "ID": record.ID,
        "Parents": list(record.Parents) or ([record.Parent] if record.Parent else None),
        "Type": record.RecordType or "regular",
        "Description": record.Description,
        "InUse": record.InUse,
        "Shared": record.Shared,
        "Size": record.Size,
        "CreatedAt": _time(record.CreatedAt),
        "LastUsedAt": _time(record.LastUsedAt) if record.HasField("LastUsedAt") else None,
        "UsageCount": record.UsageCount,
    }


def _time(stamp: Any) -> str:
    return rfc3339nano(stamp.seconds * _SECOND_NS + stamp.nanos)
