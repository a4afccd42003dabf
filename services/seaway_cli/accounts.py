"""The accounts of the bus: one for the suite's services, one for each node's agent, named as the node, and one for
machines that join, and one for each user. Pure.

JetStream acknowledges to whatever reply subject a message bears, past all permissions of who sent it. In the services'
account an agent could so have words put into another's inbox, into a bucket, or into JetStream's own subjects. In an
account of its own it reaches the services by two subjects, both imported from them as services: what it asks, and what
it tells. If an answer is asked for, it comes back to that account and nowhere else.

The services export to all nodes at once, to each the subjects that have the account's name in the node's place. So a
node's account is all that the node adds to the configuration: nats-server compares each stream that an account imports
with each one that its exporter imports, which took a second with an import for each node in the services' account.

A machine that joins by a token asks metadata for one thing, from an account where nobody else is.

A user is a program outside the suite that reads events. It too could have JetStream put words into any subject, by the
`deliver_subject` of a consumer or the reply subject of a request, so it has an account of its own, with a stream that
follows the suite's (docs/adr/0051). Live events are imported subject by subject. Stored ones come to the stream from a
consumer of the suite's stream, which the user's stream asks for at metadata: JetStream's own API is not imported.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from seaway_cli.permissions import JOIN, node_of, node_subjects
from seaway_contracts.catalogue import ADMIT_NODE, ALL_EVENTS, EVENT_STREAM, USER_API, USER_SOURCE, USER_STORED
from seaway_contracts.channels import ALL_NODES, ASK, DO, TELL
from seaway_contracts.users import BusUser

SUITE: Final = "SEAWAY"
JOINING: Final = "JOIN"
_NODE_PLACE: Final = ASK.split(".").index("{node}") + 1
_USER_PLACE: Final = USER_SOURCE.split(".").index("{account}") + 1
_JETSTREAM: Final = "$JS.API.>"
_FLOW_CONTROL: Final = f"$JS.FC.{EVENT_STREAM.name}.>"
Json = dict[str, Any]


@dataclass(frozen=True)
class Account:
    """What an account gives to others and takes from them, as NATS' configuration has it."""

    exports: tuple[Json, ...]
    imports: tuple[Json, ...]


def account_of(user: str) -> str:
    """The account that a user belongs to."""
    return JOINING if user == JOIN else node_of(user) or SUITE


def accounts(users: Iterable[str], readers: Iterable[BusUser] = ()) -> Mapping[str, Account]:
    """The accounts of these NATS users, and of users of the bus (`readers`), by name."""
    readers = sorted(readers, key=lambda user: user.name)
    nodes = sorted(node for user in users if (node := node_of(user)))
    joining = Account((), ({"service": _of(SUITE, ADMIT_NODE.subject())},))
    return {
        SUITE: _suite(readers),
        JOINING: joining,
        **{node: _node(node) for node in nodes},
        **{user.account: _reader(user) for user in readers},
    }


def _suite(readers: list[BusUser]) -> Account:
    ask, tell, do = (f"{part.format(node='*')}.>" for part in (ASK, TELL, DO))
    return Account(
        exports=(
            {"service": ask, "account_token_position": _NODE_PLACE},
            {"service": tell, "account_token_position": _NODE_PLACE},
            {"stream": do, "account_token_position": _NODE_PLACE},
            {"stream": f"{DO.format(node=ALL_NODES)}.>"},
            {"service": ADMIT_NODE.subject(), "accounts": [JOINING]},
            *_for_readers([user.account for user in readers]),
        ),
        imports=tuple(
            {"service": _of(user.account, _JETSTREAM), "to": f"{USER_API.format(account=user.account)}.>"}
            for user in readers
        ),
    )


def _for_readers(accounts: list[str]) -> Iterator[Json]:
    """The exports to users' accounts. They are to no others: an empty list of accounts would mean all."""
    if accounts:
        yield {"stream": ALL_EVENTS, "accounts": accounts}
        yield {"service": f"{USER_SOURCE.format(account='*')}.>", "account_token_position": _USER_PLACE}
        yield {"stream": f"{USER_STORED.format(account='*')}.>", "account_token_position": _USER_PLACE}
        yield {"service": _FLOW_CONTROL, "accounts": accounts}


def _node(node: str) -> Account:
    subjects = node_subjects(node)
    services = ({"service": _of(SUITE, subject)} for subject in (subjects.asks, subjects.tells))
    streams = ({"stream": _of(SUITE, subject)} for subject in subjects.hears)
    return Account((), (*services, *streams))


def _reader(user: BusUser) -> Account:
    source, stored = (f"{part.format(account=user.account)}.>" for part in (USER_SOURCE, USER_STORED))
    services = ({"service": _of(SUITE, subject)} for subject in (source, _FLOW_CONTROL))
    streams = ({"stream": _of(SUITE, subject)} for subject in (*user.subjects, stored))
    return Account(({"service": _JETSTREAM, "accounts": [SUITE]},), (*services, *streams))


def _of(account: str, subject: str) -> Json:
    return {"account": account, "subject": subject}
