"""The accounts of the bus: one for the suite's services, and one for each node's agent. Pure.

JetStream acknowledges to whatever reply subject a message bears, past all permissions of who sent it. In the services'
account an agent could so have words put into another's inbox, into a bucket, or into JetStream's own subjects, and a
service that it asks would answer into the inbox of another node. In an account of its own its events and its questions
go to imported services, whose answers come back to it and nowhere else; all other that passes between the two is
listed one by one.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from seaway_cli.permissions import agent_subjects, agent_user, node_of

SUITE: Final = "SEAWAY"
Json = dict[str, Any]


@dataclass(frozen=True)
class Account:
    """What an account gives to others and takes from them, as NATS' configuration has it."""

    exports: tuple[Json, ...]
    imports: tuple[Json, ...]


def account_of(user: str) -> str:
    """The account that a user belongs to."""
    return user if node_of(user) else SUITE


def accounts(users: Iterable[str]) -> Mapping[str, Account]:
    """The accounts of these users, by name."""
    nodes = sorted(node for user in users if (node := node_of(user)))
    return {SUITE: _suite(nodes), **{agent_user(node): _agent(node) for node in nodes}}


def _suite(nodes: Iterable[str]) -> Account:
    exports: list[Json] = []
    imports: list[Json] = []
    for node in nodes:
        subjects, only = agent_subjects(node), {"accounts": [agent_user(node)]}
        exports += ({"service": subject, **only} for subject in sorted(subjects.asked))
        exports += ({"stream": subject, **only} for subject in sorted(subjects.heard))
        imports += ({"stream": _of(agent_user(node), subject)} for subject in sorted(subjects.told))
    return Account(tuple(exports), tuple(imports))


def _agent(node: str) -> Account:
    subjects = agent_subjects(node)
    exports = ({"stream": subject, "accounts": [SUITE]} for subject in sorted(subjects.told))
    services = ({"service": _of(SUITE, subject)} for subject in sorted(subjects.asked))
    streams = ({"stream": _of(SUITE, subject)} for subject in sorted(subjects.heard))
    return Account(tuple(exports), (*services, *streams))


def _of(account: str, subject: str) -> Json:
    return {"account": account, "subject": subject}
