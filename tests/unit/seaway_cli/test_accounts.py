from collections.abc import Iterator

import pytest

from seaway_cli.accounts import JOINING, SUITE, Account, Json, account_of, accounts
from seaway_cli.permissions import USERS, Permissions, nats_permissions, reader_permissions
from seaway_contracts import catalogue
from seaway_contracts.users import BusUser
from seaway_testing.fake_server import matches

AGENTS = ("agent.n1", "agent.n2")
NODES = ("n1", "n2")
ADMIT = catalogue.ADMIT_NODE.subject()
MADE = accounts((*USERS, *AGENTS))


def imports(account: Account, kind: str) -> set[tuple[str, str]]:
    """The imports of that kind: from which account, which subject."""
    return {(one[kind]["account"], one[kind]["subject"]) for one in account.imports if kind in one}


def offered(account: Account, kind: str, to: str) -> Iterator[Json]:
    """The exports of that kind that are for the account `to`."""
    for one in account.exports:
        if kind in one and to in one.get("accounts", [to]):
            yield one


def may_import(taker: str, kind: str, giver: str, subject: str) -> bool:
    """Whether a NATS server lets an account import this from another one."""
    for one in offered(MADE[giver], kind, taker):
        place = one.get("account_token_position")
        if matches(one[kind], subject) and (place is None or subject.split(".")[place - 1] == taker):
            return True
    return False


def test_each_node_has_an_account_and_the_services_share_one() -> None:
    assert {account_of(user) for user in USERS if user != "join"} == {SUITE}
    assert account_of("join") == JOINING
    assert [account_of(user) for user in AGENTS] == list(NODES)
    assert list(MADE) == [SUITE, JOINING, *NODES]


@pytest.mark.parametrize("node", NODES)
def test_four_subjects_cross_between_a_node_and_the_services(node: str) -> None:
    under = f"seaway.v1.node.{node}"
    assert imports(MADE[node], "service") == {(SUITE, f"{under}.ask.>"), (SUITE, f"{under}.tell.>")}
    assert imports(MADE[node], "stream") == {(SUITE, f"{under}.do.>"), (SUITE, "seaway.v1.node.all.do.>")}
    assert MADE[node].exports == ()


def test_the_services_take_nothing_from_a_node_by_themselves() -> None:
    assert MADE[SUITE].imports == ()


def test_what_one_takes_the_other_gives() -> None:
    for taker, account in MADE.items():
        for kind in ("service", "stream"):
            for giver, subject in imports(account, kind):
                assert may_import(taker, kind, giver, subject)


@pytest.mark.parametrize(("own", "other"), [("n1", "n2"), ("n2", "n1")])
def test_a_node_is_given_nothing_of_another_one(own: str, other: str) -> None:
    assert may_import(own, "service", SUITE, f"seaway.v1.node.{own}.ask.>")
    assert may_import(own, "stream", SUITE, f"seaway.v1.node.{own}.do.>")
    assert may_import(own, "service", SUITE, f"seaway.v1.node.{own}.tell.>")
    for part in ("ask", "tell"):
        assert not may_import(own, "service", SUITE, f"seaway.v1.node.{other}.{part}.>")
    assert not may_import(own, "stream", SUITE, f"seaway.v1.node.{own}.tell.>"), "it would hear, and not speak"
    assert not may_import(own, "stream", SUITE, f"seaway.v1.node.{other}.do.>")
    assert not may_import(own, "stream", other, f"seaway.v1.node.{other}.tell.>")
    assert not may_import(own, "stream", SUITE, catalogue.ALL_EVENTS)


def test_the_token_that_must_be_the_accounts_name_is_the_nodes() -> None:
    placed = [one for one in MADE[SUITE].exports if "account_token_position" in one]
    assert {(one.get("service") or one.get("stream")) for one in placed} == {
        "seaway.v1.node.*.ask.>",
        "seaway.v1.node.*.do.>",
        "seaway.v1.node.*.tell.>",
    }
    for one in placed:
        subject = one.get("service") or one["stream"]
        assert subject.split(".")[one["account_token_position"] - 1] == "*"
    assert [one for one in MADE[SUITE].exports if one not in placed] == [
        {"stream": "seaway.v1.node.all.do.>"},
        {"service": ADMIT, "accounts": [JOINING]},
    ]


def test_a_machine_that_joins_asks_one_thing_from_an_account_of_its_own() -> None:
    assert MADE[JOINING] == Account((), ({"service": {"account": SUITE, "subject": ADMIT}},))
    assert nats_permissions("join") == Permissions((ADMIT,), ("_INBOX.join.>",))
    assert not may_import("n1", "service", SUITE, ADMIT), "a node can't have others admitted"


@pytest.mark.parametrize("node", NODES)
def test_all_that_an_agent_may_say_and_hear_passes_but_for_what_it_says_to_itself(node: str) -> None:
    allowed = nats_permissions(f"agent.{node}")
    said = {subject for _, subject in imports(MADE[node], "service")}
    heard = {subject for _, subject in imports(MADE[node], "stream")}
    assert set(allowed.publish) == said | {f"seaway.v1.node.{node}.do.>"}
    inboxes = {f"_INBOX.agent.{node}.>", f"seaway.v1.node.*.tell.reply.agent.{node}.>"}
    assert set(allowed.subscribe) == heard | inboxes | {"$SRV.>"}


def test_nothing_of_jetstream_crosses() -> None:
    crossing = [
        subject for account in MADE.values() for kind in ("service", "stream") for _, subject in imports(account, kind)
    ]
    assert len(crossing) == 4 * len(NODES) + 1
    kept = (*catalogue.EVENT_STREAM.subjects, catalogue.LOG_LINES.template.wildcard())
    for subject in set(crossing) - {ADMIT}:
        assert subject.startswith("seaway.v1.node.")
        assert not [one for one in kept if matches(one, subject.replace(">", "x"))]


def test_nothing_passes_both_ways_as_that_would_be_a_loop() -> None:
    for node in NODES:
        out = [subject for _, subject in imports(MADE[node], "service")]
        into = [subject for _, subject in imports(MADE[node], "stream")]
        assert not [(a, b) for a in out for b in into if matches(a, b) or matches(b, a)]


def test_a_further_node_is_one_more_account_and_changes_no_other() -> None:
    more = accounts((*USERS, *AGENTS, "agent.n3"))
    assert {name: more[name] for name in MADE} == MADE
    assert set(more) - set(MADE) == {"n3"}


BOB, EVE = (
    BusUser(name=name, public_key="U", created_ns=1, events=("container.die",), nodes=("n1",))
    for name in ("bob", "eve")
)
WITH_READERS = accounts((*USERS, *AGENTS), (EVE, BOB))


def test_a_user_has_an_account_and_changes_none_but_the_services() -> None:
    assert list(WITH_READERS) == [*MADE, "user:bob", "user:eve"]
    assert {name: WITH_READERS[name] for name in MADE if name != SUITE} == {
        name: account for name, account in MADE.items() if name != SUITE
    }


def test_what_a_user_takes_is_events_and_what_feeds_its_stream() -> None:
    bob = WITH_READERS["user:bob"]
    assert imports(bob, "stream") == {
        (SUITE, "seaway.v1.event.n1.container.die.*"),
        (SUITE, "seaway.v1.user.user:bob.stored.>"),
    }
    assert imports(bob, "service") == {(SUITE, "seaway.v1.user.user:bob.source.>"), (SUITE, "$JS.FC.SEAWAY_EVENTS.>")}
    assert bob.exports == ({"service": "$JS.API.>", "accounts": [SUITE]},)


def test_the_services_give_users_what_they_take_and_nodes_nothing_of_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(MADE, SUITE, WITH_READERS[SUITE])
    for user in ("user:bob", "user:eve"):
        for kind in ("service", "stream"):
            for giver, subject in imports(WITH_READERS[user], kind):
                assert may_import(user, kind, giver, subject)
    for taker in ("user:eve", "n1"):
        assert not may_import(taker, "stream", SUITE, "seaway.v1.user.user:bob.stored.>")
        assert not may_import(taker, "service", SUITE, "seaway.v1.user.user:bob.source.>")
    assert not may_import("n1", "stream", SUITE, catalogue.ALL_EVENTS)
    assert not may_import("n1", "service", SUITE, "$JS.FC.SEAWAY_EVENTS.>")


def test_metadata_reaches_jetstream_of_each_user_and_no_other_does() -> None:
    assert [(one["service"]["account"], one["to"]) for one in WITH_READERS[SUITE].imports] == [
        ("user:bob", "seaway.v1.user.user:bob.api.>"),
        ("user:eve", "seaway.v1.user.user:eve.api.>"),
    ]
    for user in USERS:
        allowed = nats_permissions(user)
        asks = [one for one in allowed.publish if matches(one, "seaway.v1.user.user:bob.api.STREAM.INFO.X")]
        assert bool(asks) is (user == "metadata")
        assert bool([one for one in allowed.subscribe if ".user." in one]) is (user == "metadata")


def test_a_user_publishes_nothing_but_requests_to_read() -> None:
    allowed = reader_permissions()
    for verb in ("CREATE", "UPDATE", "DELETE", "PURGE", "SNAPSHOT", "RESTORE", "MSG.DELETE", "LEADER.STEPDOWN"):
        assert not [one for one in allowed.publish if matches(one, f"$JS.API.STREAM.{verb}.SEAWAY_EVENTS")]
    assert {one.split(".")[0] for one in allowed.publish} == {"$JS"}
    assert allowed.subscribe == ("_INBOX.>", "seaway.v1.event.>")
