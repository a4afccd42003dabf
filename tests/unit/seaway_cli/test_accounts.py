from typing import Any

from seaway_cli.accounts import SUITE, account_of, accounts
from seaway_cli.permissions import USERS, nats_permissions
from seaway_testing.subjects import matches

AGENTS = ("agent.n1", "agent.n2")


def of(items: tuple[dict[str, Any], ...], kind: str, account: str) -> set[str]:
    """The imports of that kind from an account, or the exports to it."""
    found = set()
    for item in items:
        there = item.get(kind)
        if isinstance(there, dict) and there["account"] == account:
            found.add(there["subject"])
        elif isinstance(there, str) and item["accounts"] == [account]:
            found.add(there)
    return found


def test_each_agent_has_an_account_and_the_services_share_one() -> None:
    assert {account_of(user) for user in USERS} == {SUITE}
    assert [account_of(user) for user in AGENTS] == list(AGENTS)
    assert list(accounts((*USERS, *AGENTS))) == [SUITE, *AGENTS]


def test_what_one_gives_the_other_takes() -> None:
    made = accounts((*USERS, *AGENTS))
    for agent in AGENTS:
        for kind in ("service", "stream"):
            assert of(made[SUITE].exports, kind, agent) == of(made[agent].imports, kind, SUITE)
            assert of(made[agent].exports, kind, SUITE) == of(made[SUITE].imports, kind, agent)


def test_all_that_an_agent_may_say_and_hear_passes_but_for_its_inbox() -> None:
    made = accounts((*USERS, *AGENTS))["agent.n1"]
    allowed = nats_permissions("agent.n1")
    told, asked = of(made.exports, "stream", SUITE), of(made.imports, "service", SUITE)
    kept = {"seaway.v1.agent.n1.container.inventory", "_INBOX.agent.n1.>"}
    assert told | asked | kept == set(allowed.publish)
    assert of(made.imports, "stream", SUITE) | {"_INBOX.agent.n1.>"} == set(allowed.subscribe)


def test_whatever_is_stored_or_answered_is_asked_of_a_service() -> None:
    made = accounts((*USERS, *AGENTS))["agent.n1"]
    words = (".event.", ".logs.", ".image.")
    answered = {subject for subject in nats_permissions("agent.n1").publish if any(word in subject for word in words)}
    asked, told = of(made.imports, "service", SUITE), of(made.exports, "stream", SUITE)
    assert {word for word in words if any(word in subject for subject in answered)} == set(words)
    assert asked == answered
    assert not any(word in subject for subject in told for word in (*words, "$"))


def test_nothing_passes_both_ways_as_that_would_be_a_loop() -> None:
    made = accounts((*USERS, *AGENTS))["agent.n1"]
    out, into = of(made.exports, "stream", SUITE), of(made.imports, "stream", SUITE)
    assert not [(a, b) for a in out for b in into if matches(a, b) or matches(b, a)]
