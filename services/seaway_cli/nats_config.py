"""The embedded NATS server's configuration. Pure."""

import json
import re
import sys
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Final

from seaway_cli.accounts import JOINING, SUITE, Account, Json, account_of, accounts
from seaway_cli.hosts import Listen
from seaway_cli.permissions import USERS, Permissions, agent_user, nats_permissions, reader_permissions
from seaway_contracts.joining import is_public_key
from seaway_contracts.users import ACCOUNT_PREFIX, BusUser, parse_user_line
from seaway_kit.addresses import join_address

MAX_PAYLOAD: Final = 8 << 20
_EXAMPLE: Final = """\
# A user for each service and an account for each node's agent: single.conf and cluster.conf include this. The passwords
# come from the environment. Made by `deploy/nats/make-users NODE...`; this one is for a node n1.
# `nats-server --signal reload` takes a change up; give that twice, as nats-server 2.10 connects a new account to the
# others only then.
"""
_MAX_FILE_STORE: Final = 64 << 30  # above the streams' reservations, so that a small disk isn't refused beforehand
_MAX_MEMORY_STORE: Final = 256 << 20
_JOINING_LIMITS: Final = {"max_connections": 256, "max_subscriptions": 16, "max_payload": 16 << 10}
"""Every token that was ever made has the password of `join`, so its holders may only keep each other from joining."""


_READER_LIMITS: Final = {"max_connections": 16, "max_subscriptions": 256, "max_payload": 64 << 10}
"""NATS counts the subscriptions of each connection."""
_READER_STORAGE: Final = {
    "max_mem": 0,
    "max_streams": 1,
    "max_consumers": 16,
    "max_ack_pending": 65_536,  # so many nats.go asks for, if it isn't told otherwise
}
"""What JetStream may hold of a reader. Consumers are counted on its only stream.

There is no `max_file`: the server would reserve it for the account, and not give it back when the account is removed.
The stream has a `max_bytes`, and its user can neither change it nor create another.
"""


@dataclass(frozen=True)
class NatsServer:
    """What the configuration depends on. `passwords` by user; `keys`: public nkeys by node, of nodes that joined.

    `readers`: the users of the bus.
    """

    name: str
    port: int
    store: Path
    passwords: Mapping[str, str]
    listen: Listen = field(default_factory=Listen)
    keys: Mapping[str, str] = field(default_factory=dict)
    readers: tuple[BusUser, ...] = ()


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
            accounts_block(
                {user: json.dumps(password) for user, password in server.passwords.items()}, server.keys, server.readers
            ),
        )
    )


def accounts_block(
    passwords: Mapping[str, str],
    keys: Mapping[str, str] = MappingProxyType({}),
    readers: Iterable[BusUser] = (),
) -> str:
    """The block that says who may do what. The passwords are put in as they are: quoted, or `$VARIABLE`.

    `keys`: the public nkeys of nodes that joined, by node. Such a node has no password.
    `readers`: users of the bus.
    """
    readers = tuple(readers)
    users: dict[str, list[str]] = {}
    for user, word in sorted(passwords.items()):
        users.setdefault(account_of(user), []).append(_user(user, {"user": json.dumps(user), "password": word}))
    for node, key in sorted(keys.items()):
        user = agent_user(node)
        users.setdefault(account_of(user), []).append(_user(user, {"nkey": json.dumps(key)}))
    limits: dict[str, list[str]] = {SUITE: ["jetstream: enabled"], JOINING: [_limits(_JOINING_LIMITS)]}
    for reader in readers:
        users[reader.account] = [_with_permissions({"nkey": json.dumps(reader.public_key)}, reader_permissions())]
        limits[reader.account] = [f"jetstream: {json.dumps(_READER_STORAGE)}", _limits(_READER_LIMITS)]
    names = (*passwords, *map(agent_user, keys))
    blocks = [
        _account(name, account, users.get(name, ()), limits.get(name, ()))
        for name, account in accounts(names, readers).items()
    ]
    return "accounts {\n" + "\n".join(blocks) + "\n}\n"


def _limits(limits: Mapping[str, int]) -> str:
    return f"limits: {json.dumps(limits)}"


def _account(name: str, account: Account, lines_of_users: Iterable[str], limits: Iterable[str]) -> str:
    users = ",\n".join(lines_of_users)
    lines = [f"{json.dumps(name)}: {{", *limits]
    lines += [f"users: [\n{users}\n]", _list("exports", account.exports), _list("imports", account.imports), "}"]
    return "\n".join(lines)


def _list(word: str, items: Iterable[Json]) -> str:
    return f"{word}: [\n" + ",\n".join(json.dumps(item) for item in items) + "\n]"


def _tls(listen: Listen) -> list[str]:
    files = (("cert_file", listen.tls.cert), ("key_file", listen.tls.key))
    return ["tls {", *(f"  {word}: {json.dumps(file)}" for word, file in files), "}"] if listen.open else []


def _user(name: str, login: Mapping[str, str]) -> str:
    """A user with its permissions. `login`: fields, whose values are put in as they are."""
    return _with_permissions(login, nats_permissions(name))


def _with_permissions(login: Mapping[str, str], allowed: Permissions) -> str:
    may = {"publish": {"allow": list(allowed.publish)}, "subscribe": {"allow": list(allowed.subscribe)}}
    fields = "".join(f'"{field}": {value}, ' for field, value in login.items())
    return f'{{{fields}"permissions": {json.dumps(may, indent=2)}}}'


def outside(nodes: Iterable[str]) -> str:
    """The accounts and users for an outside server, with passwords from its environment.

    A node that joined by a token is given as `NODE=KEY`, its public nkey; a user as `seaway user keys` prints it.
    Raises ValueError.
    """
    words = list(nodes)
    readers = tuple(parse_user_line(word) for word in words if word.startswith(ACCOUNT_PREFIX))
    given = [word.partition("=") for word in words if not word.startswith(ACCOUNT_PREFIX)]
    keys = {node: _check_key(key) for node, is_joined, key in given if is_joined}
    users = (*(agent_user(node) for node, is_joined, _ in given if not is_joined), *USERS)
    passwords = {user: "$SEAWAY_NATS_" + re.sub(r"\W", "_", user).upper() for user in users}
    _check_once("node", (node for node, _, _ in given))
    _check_once("user", (reader.name for reader in readers))
    _check_once("key", (*keys.values(), *(reader.public_key for reader in readers)))
    _check_once("variable (nodes whose names differ only in case, - and _)", passwords.values())
    return _EXAMPLE + accounts_block(passwords, keys, readers)


def _check_once(what: str, texts: Iterable[str]) -> None:
    """Raise ValueError for one that is there twice: two nodes could log in as one, or the server takes up nothing."""
    counted = Counter(texts)
    if twice := sorted(text for text, times in counted.items() if times > 1):
        raise ValueError(f"the {what} {twice[0]} is there twice")


def _check_key(key: str) -> str:
    if not is_public_key(key):
        raise ValueError(f"{key!r} is no public nkey of a node: `seaway node keys` prints them")
    return key


if __name__ == "__main__":
    try:
        print(outside(sys.argv[1:]), end="")
    except ValueError as error:
        sys.exit(f"make-users: {error}")
