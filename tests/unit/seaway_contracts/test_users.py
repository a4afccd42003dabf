"""What a user may be, and which subjects it reads."""

from itertools import combinations
from typing import Any

import pytest

from seaway_contracts.catalogue import EVENTS
from seaway_contracts.errors import Code, SeawayError
from seaway_contracts.users import BusUser, CreateUser, check_create_user, parse_user_line, reduced, user_line
from seaway_testing.fake_server import matches

KEY = "U" + "A" * 55


def user(**fields: Any) -> BusUser:
    return BusUser(name="bob", public_key=KEY, created_ns=1, **fields)


def asked(**fields: Any) -> CreateUser:
    return CreateUser(**({"name": "bob", "public_key": KEY} | fields))


@pytest.mark.parametrize(
    ("fields", "subjects"),
    [
        ({}, ("seaway.v1.event.>",)),
        ({"events": ("container.die",)}, ("seaway.v1.event.*.container.die.*",)),
        ({"events": ("image",)}, ("seaway.v1.event.*.image.*.*",)),
        ({"nodes": ("n1", "n2")}, ("seaway.v1.event.n1.*.*.*", "seaway.v1.event.n2.*.*.*")),
        ({"events": ("node",), "nodes": ("n1",)}, ("seaway.v1.event.n1.node.*.*",)),
    ],
)
def test_subjects(fields: dict[str, Any], subjects: tuple[str, ...]) -> None:
    assert user(**fields).subjects == subjects


def test_subjects_do_not_overlap() -> None:
    """NATS refuses a consumer with such filters."""
    events = reduced(f"{noun}{dot}{action if dot else ''}" for noun, action in EVENTS for dot in ("", "."))
    assert events == tuple(sorted({noun for noun, _ in EVENTS}))
    assert reduced(("container.die", "image.pull", "image", "container.die")) == ("container.die", "image")
    made = user(events=("container.die", "container.oom", "image"), nodes=("n1", "n2")).subjects
    for one, other in combinations([subject.replace("*", "x") for subject in made], 2):
        assert not matches(one, other) and not matches(other, one)


@pytest.mark.parametrize(
    ("fields", "sentence"),
    [
        ({"name": "a.b"}, "no user may be called 'a.b'"),
        ({"name": "x" * 65}, "use 1 to 64"),
        ({"name": "scheduler"}, "the name is reserved"),
        ({"public_key": "UA"}, "must be a user's nkey"),
        ({"events": ("container.die.*",)}, "is no event"),
        ({"events": ("*",)}, "is no event"),
        ({"events": ("pod.die",)}, "there are no events of 'pod'"),
        ({"events": ("image.die",)}, "there is no event 'image.die'"),
        ({"nodes": (">",)}, "no node may be called"),
        ({"nodes": ("all",)}, "the name is reserved"),
        ({"nodes": tuple(f"n{number}" for number in range(65))}, "65 pairs of event and node"),
        ({"keep": 0}, "1 MiB to 16 GiB"),
        ({"keep": 1 << 40}, "1 MiB to 16 GiB"),
        ({"expires_s": -1}, "valid for 1 second to"),
    ],
)
def test_what_is_no_user(fields: dict[str, Any], sentence: str) -> None:
    with pytest.raises(SeawayError, match=sentence) as caught:
        check_create_user(asked(**fields), EVENTS)
    assert caught.value.code is Code.BAD_REQUEST


def test_what_is_one() -> None:
    check_create_user(asked(), EVENTS)
    check_create_user(asked(events=("user", "container.archive-path"), nodes=("cluster", "n1"), expires_s=1), EVENTS)


def test_a_line_of_text_has_all_that_nats_needs() -> None:
    for fields in ({}, {"events": ("container.die", "image"), "nodes": ("n1", "cluster"), "keep": 1 << 21}):
        made = user(**fields)
        assert parse_user_line(user_line(made)) == made.model_copy(update={"created_ns": 0})
    for text in (
        "",
        "user:bob",
        f"user:bob={KEY}",
        f"user:a.b={KEY}:1048576::",
        f"user:bob={KEY}:1::",
        "user:bob=U:1048576::",
    ):
        with pytest.raises(ValueError, match="is no user: `seaway user keys` prints them"):
            parse_user_line(text)
