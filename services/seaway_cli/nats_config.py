"""The embedded NATS server's configuration. Pure."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from seaway_cli.hosts import Listen
from seaway_cli.permissions import USERS, agent_user, nats_permissions
from seaway_kit.addresses import join_address

MAX_PAYLOAD: Final = 8 << 20
_EXAMPLE: Final = """\
# A user for each service and for each node's agent, in place of the `authorization` block of single.conf and
# cluster.conf (`include users.conf`). The passwords come from the environment. For another node copy the first block
# and put its name in the place of n1; `nats-server --signal reload` takes it up.
# Made by `python -m seaway_cli.nats_config > deploy/nats/users.conf`.
"""
_MAX_FILE_STORE: Final = 64 << 30  # above the streams' reservations, so that a small disk isn't refused beforehand
_MAX_MEMORY_STORE: Final = 256 << 20


@dataclass(frozen=True)
class NatsServer:
    """What the configuration depends on. `passwords` by user."""

    name: str
    port: int
    store: Path
    passwords: Mapping[str, str]
    listen: Listen = field(default_factory=Listen)


def render(server: NatsServer) -> str:
    """The file's text. Values are JSON, which NATS' format accepts, so that nothing in them can end a string."""
    return "\n".join(
        (
            f"server_name: {json.dumps(server.name)}",
            f"listen: {json.dumps(join_address(server.listen.host, server.port))}",
            *_tls(server.listen),
            f"max_payload: {MAX_PAYLOAD}",
            "jetstream {",
            f"  store_dir: {json.dumps(str(server.store))}",
            "  sync_interval: always",
            f"  max_file_store: {_MAX_FILE_STORE}",
            f"  max_memory_store: {_MAX_MEMORY_STORE}",
            "}",
            authorization({user: json.dumps(password) for user, password in server.passwords.items()}),
        )
    )


def authorization(passwords: Mapping[str, str]) -> str:
    """The block that says who may do what. The passwords are put in as they are: quoted, or `$VARIABLE`."""
    users = ",\n".join(_user(name, password) for name, password in sorted(passwords.items()))
    return f"authorization {{\nusers: [\n{users}\n]\n}}\n"


def _tls(listen: Listen) -> list[str]:
    files = (("cert_file", listen.tls.cert), ("key_file", listen.tls.key))
    return ["tls {", *(f"  {word}: {json.dumps(file)}" for word, file in files), "}"] if listen.open else []


def _user(name: str, password: str) -> str:
    allowed = nats_permissions(name)
    may = {"publish": {"allow": list(allowed.publish)}, "subscribe": {"allow": list(allowed.subscribe)}}
    return f'{{"user": {json.dumps(name)}, "password": {password}, "permissions": {json.dumps(may, indent=2)}}}'


def example() -> str:
    """The users for an outside server, with passwords from its environment."""
    users = (agent_user("n1"), *USERS)
    return _EXAMPLE + authorization({user: "$SEAWAY_NATS_" + user.replace(".", "_").upper() for user in users})


if __name__ == "__main__":
    print(example(), end="")
