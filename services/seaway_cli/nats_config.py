"""The embedded NATS server's configuration. Pure."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from seaway_cli.permissions import nats_permissions

MAX_PAYLOAD: Final = 8 << 20
_MAX_FILE_STORE: Final = 64 << 30  # above the streams' reservations, so that a small disk isn't refused beforehand
_MAX_MEMORY_STORE: Final = 256 << 20


@dataclass(frozen=True)
class NatsServer:
    """What the configuration depends on. `passwords` by user."""

    name: str
    port: int
    store: Path
    passwords: Mapping[str, str]


def render(server: NatsServer) -> str:
    """The file's text. Values are JSON, which NATS' format accepts, so that nothing in them can end a string."""
    users = ",\n".join(f"    {json.dumps(_user(name, secret))}" for name, secret in sorted(server.passwords.items()))
    return "\n".join(
        (
            f"server_name: {json.dumps(server.name)}",
            f'listen: "127.0.0.1:{server.port}"',
            f"max_payload: {MAX_PAYLOAD}",
            "jetstream {",
            f"  store_dir: {json.dumps(str(server.store))}",
            "  sync_interval: always",
            f"  max_file_store: {_MAX_FILE_STORE}",
            f"  max_memory_store: {_MAX_MEMORY_STORE}",
            "}",
            "authorization {",
            "  users: [",
            users,
            "  ]",
            "}",
            "",
        )
    )


def _user(name: str, password: str) -> dict[str, object]:
    allowed = nats_permissions(name)
    return {
        "user": name,
        "password": password,
        "permissions": {
            "publish": {"allow": list(allowed.publish)},
            "subscribe": {"allow": list(allowed.subscribe)},
        },
    }
