"""The accounts of the bus: one for the suite's services, one for each node's agent, named as the node, and one for
machines that join. Pure.

JetStream acknowledges to whatever reply subject a message bears, past all permissions of who sent it. In the services'
account an agent could so have words put into another's inbox, into a bucket, or into JetStream's own subjects. In an
account of its own it reaches the services by two subjects, both imported from them as services: what it asks, and what
it tells. If an answer is asked for, it comes back to that account and nowhere else.

The services export to all nodes at once, to each the subjects that have the account's name in the node's place. So a
node's account is all that the node adds to the configuration: nats-server compares each stream that an account imports
with each one that its exporter imports, which took a second with an import for each node in the services' account.

A machine that joins by a token asks metadata for one thing, from an account where nobody else is.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from seaway_cli.permissions import JOIN, node_of, node_subjects
from seaway_contracts.catalogue import ADMIT_NODE
from seaway_contracts.channels import ALL_NODES, ASK, DO, TELL

SUITE: Final = "SEAWAY"
JOINING: Final = "JOIN"
_NODE_PLACE: Final = ASK.split(".").index("{node}") + 1
Json = dict[str, Any]


@dataclass(frozen=True)
class Account:
    """What an account gives to others and takes from them, as NATS' configuration has it."""

    exports: tuple[Json, ...]
    imports: tuple[Json, ...]


def account_of(user: str) -> str:
    """The account that a user belongs to."""
    return JOINING if user == JOIN else node_of(user) or SUITE


def accounts(users: Iterable[str]) -> Mapping[str, Account]:
    """The accounts of these users, by name."""
    nodes = sorted(node for user in users if (node := node_of(user)))
    joining = Account((), ({"service": _of(SUITE, ADMIT_NODE.subject())},))
    return {SUITE: _suite(), JOINING: joining, **{node: _node(node) for node in nodes}}


def _suite() -> Account:
    ask, tell, do = (f"{part.format(node='*')}.>" for part in (ASK, TELL, DO))
    return Account(
        exports=(
            {"service": ask, "account_token_position": _NODE_PLACE},
            {"service": tell, "account_token_position": _NODE_PLACE},
            {"stream": do, "account_token_position": _NODE_PLACE},
            {"stream": f"{DO.format(node=ALL_NODES)}.>"},
            {"service": ADMIT_NODE.subject(), "accounts": [JOINING]},
        ),
        imports=(),
    )


def _node(node: str) -> Account:
    subjects = node_subjects(node)
    services = ({"service": _of(SUITE, subject)} for subject in (subjects.asks, subjects.tells))
    streams = ({"stream": _of(SUITE, subject)} for subject in subjects.hears)
    return Account((), (*services, *streams))


def _of(account: str, subject: str) -> Json:
    return {"account": account, "subject": subject}
