"""Restart policies and the waits between restarts."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from seaway_agent.core.restart import (
    FIRST_NS,
    LONGEST_NS,
    Backoff,
    in_order_of_need,
    should_restart,
    starts_with_node,
)
from seaway_contracts.containers import RestartPolicy

LONG_RUN_NS = 10_000_000_000


def policy(name: str, retries: int = 0) -> RestartPolicy:
    return RestartPolicy.model_validate({"name": name, "max_retries": retries})


def test_waits_double_up_to_a_minute() -> None:
    backoff, waits = Backoff(), []
    for _ in range(12):
        backoff = backoff.next(ran_ns=0)
        waits.append(backoff.last_ns)
    assert waits[:4] == [FIRST_NS, 2 * FIRST_NS, 4 * FIRST_NS, 8 * FIRST_NS]
    assert waits[-2:] == [LONGEST_NS, LONGEST_NS]
    assert waits == sorted(waits)


@pytest.mark.parametrize(("ran_ns", "wait_ns"), [(LONG_RUN_NS, FIRST_NS), (LONG_RUN_NS - 1, 2 * FIRST_NS)])
def test_ten_seconds_of_life_start_the_waits_anew(ran_ns: int, wait_ns: int) -> None:
    assert Backoff(FIRST_NS).next(ran_ns).last_ns == wait_ns


@pytest.mark.parametrize(
    ("name", "retries", "code", "restarts", "by_hand", "again"),
    [
        ("no", 0, 1, 0, False, False),
        ("always", 0, 0, 99, False, True),
        ("always", 0, 0, 0, True, False),
        ("unless-stopped", 0, 0, 0, False, True),
        ("unless-stopped", 0, 0, 0, True, False),
        ("on-failure", 0, 0, 0, False, False),
        ("on-failure", 0, 1, 99, False, True),
        ("on-failure", 2, 1, 1, False, True),
        ("on-failure", 2, 1, 2, False, False),
        ("on-failure", 2, -1, 0, False, True),
    ],
)
def test_should_restart(name: str, retries: int, code: int, restarts: int, by_hand: bool, again: bool) -> None:
    assert should_restart(policy(name, retries), code, restarts, by_hand) is again


@pytest.mark.parametrize(
    ("name", "was_running", "by_hand", "starts"),
    [
        ("no", True, False, False),
        ("always", False, True, True),
        ("unless-stopped", True, True, False),
        ("unless-stopped", False, False, True),
        ("on-failure", True, False, True),
        ("on-failure", False, False, False),
        ("on-failure", True, True, False),
    ],
)
def test_starts_with_node(name: str, was_running: bool, by_hand: bool, starts: bool) -> None:
    assert starts_with_node(policy(name), was_running, by_hand) is starts


@given(runs=st.lists(st.integers(0, 60_000_000_000), max_size=40))
def test_whatever_runs_come_a_wait_is_bounded_and_grows_only_by_doubling(runs: list[int]) -> None:
    backoff = Backoff()
    for ran_ns in runs:
        before, backoff = backoff, backoff.next(ran_ns)
        assert FIRST_NS <= backoff.last_ns <= LONGEST_NS
        assert backoff.last_ns in (FIRST_NS, min(2 * before.last_ns, LONGEST_NS))
        assert ran_ns < LONG_RUN_NS or backoff.last_ns == FIRST_NS


@given(
    name=st.sampled_from(["no", "always", "unless-stopped", "on-failure"]),
    retries=st.integers(0, 3),
    codes=st.lists(st.integers(0, 255), max_size=12),
    by_hand=st.booleans(),
)
def test_on_failure_gives_up_after_its_count_and_nothing_outlives_a_stop(
    name: str, retries: int, codes: list[int], by_hand: bool
) -> None:
    restarts = 0
    for code in codes:
        again = should_restart(policy(name, retries), code, restarts, by_hand)
        assert not (again and by_hand)
        if not again:
            break
        restarts += 1
        assert name != "on-failure" or (code != 0 and (retries == 0 or restarts <= retries))
    if name in ("always", "unless-stopped") and not by_hand:
        assert restarts == len(codes)


@pytest.mark.parametrize(
    ("needs", "order"),
    [
        ({}, []),
        ({"a": [], "b": []}, [["a", "b"]]),
        ({"a": ["b"], "b": ["c"], "c": [], "d": []}, [["c", "d"], ["b"], ["a"]]),
        ({"a": ["a", "elsewhere"]}, [["a"]]),
        ({"a": ["b"], "b": ["a"], "c": ["a"], "d": []}, [["d"], ["a", "b", "c"]]),
    ],
)
def test_those_that_are_needed_come_first(needs: dict[str, list[str]], order: list[list[str]]) -> None:
    assert in_order_of_need(needs) == order
