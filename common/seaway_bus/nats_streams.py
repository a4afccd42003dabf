"""The configurations of streams and buckets, as the JetStream API takes them."""

import re
from typing import Any, Final

from seaway_contracts.channels import BucketConfig, StreamConfig

_NS: Final = 1_000_000_000
_SOUND_COPIES: Final = (2, 12)


def event_stream(config: StreamConfig, replicas: int) -> dict[str, Any]:
    """A stream that drops its oldest messages at its limits. Its owner may purge what a node has too much."""
    return {
        "name": config.name,
        "subjects": list(config.subjects),
        "retention": "limits",
        "max_age": config.max_age_s * _NS,
        "max_bytes": config.max_bytes,
        "duplicate_window": config.duplicate_window_s * _NS,
        "discard": "old",
        "storage": "file",
        "num_replicas": replicas,
        "allow_direct": True,
        "deny_delete": True,
    }


def bucket_stream(config: BucketConfig, replicas: int) -> dict[str, Any]:
    """The stream of a bucket (NATS ADR-8). Unlike other clients' streams, it allows deletion of messages."""
    return {
        "name": f"KV_{config.name}",
        "description": config.about,
        "subjects": [f"$KV.{config.name}.>"],
        "retention": "limits",
        "max_msgs_per_subject": config.history,
        "max_bytes": -1,
        "discard": "new",
        "storage": "file",
        "num_replicas": replicas,
        "allow_direct": True,
        "allow_rollup_hdrs": True,
        "deny_delete": False,
        "duplicate_window": 120 * _NS,
    }


def trouble_with_copies(server: str, replicas: int) -> str:
    """Why this server can't keep that many replicas; empty if it can. `server`: text that has its version.

    See docs/adr/0029.
    """
    version = re.search(r"(\d+)\.(\d+)\.\d+", server)
    if replicas < 2 or version is None or (int(version[1]), int(version[2])) >= _SOUND_COPIES:
        return ""
    return (
        f"nats-server {version[0]} can lose a copy of a stream when it is killed and started again: "
        "where several servers are to keep copies, use 2.12 or later"
    )
