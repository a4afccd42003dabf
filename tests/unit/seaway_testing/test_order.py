"""The order table."""

import pytest

from seaway_contracts.lifecycle import Envelope
from seaway_testing.order import faults


def events(words: str, start: int = 1) -> list[Envelope]:
    return [
        Envelope(id=f"e{seq}", node="n1", noun="container", action=word, subject_id="c", time_ns=seq, seq=seq)
        for seq, word in enumerate(words.split(), start)
    ]


@pytest.mark.parametrize(
    "words",
    [
        "",
        "create",
        "create destroy",
        "create start die destroy",
        "create attach start resize die start die destroy",
        "create start kill die stop destroy",
        "create start oom die",
        "create start kill die start restart die",
        "create start pause unpause kill die stop start die",
    ],
)
def test_right(words: str) -> None:
    assert faults(events(words)) == []


@pytest.mark.parametrize(
    ("words", "fault"),
    [
        ("start", "start before create"),
        ("create create", "create twice"),
        ("create die", "die while it does not run"),
        ("create start start", "start while it runs"),
        ("create start destroy", "destroy while it runs"),
        ("create start stop die", "stop while it runs"),
        ("create start die oom", "oom while it does not run"),
        ("create stop", "stop without a die before it"),
        ("create destroy status", "status after destroy"),
    ],
)
def test_wrong(words: str, fault: str) -> None:
    assert fault in faults(events(words))


def test_a_gap() -> None:
    assert faults(events("create", start=2)) == ["create has seq 2 after 0"]
