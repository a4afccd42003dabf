"""Constraints and affinities out of environment and labels."""

import json

import pytest

from seaway_docker.errors import InvalidParameter
from seaway_docker.placement import Expression, expression, placement


@pytest.mark.parametrize(
    ("text", "key", "value", "equal", "soft"),
    [
        ("node==n1", "node", "n1", True, False),
        ("storage!=disk", "storage", "disk", False, False),
        ("node.labels.disk==~ssd", "node.labels.disk", "ssd", True, True),
        ("node.labels.disk!=~ ssd ", "node.labels.disk", "ssd", False, True),
        (" region == us-* ", "region", "us-*", True, False),
        ("node==/node-[12]/", "node", "/node-[12]/", True, False),
        ("node!=~/(?i)A|B/", "node", "/(?i)A|B/", False, True),
        ("image==host:5000/a/b:1", "image", "host:5000/a/b:1", True, False),
        ("com.example/tier==a==b", "com.example/tier", "a==b", True, False),
        ("label==tier=front", "label", "tier=front", True, False),
    ],
)
def test_expressions(text: str, key: str, value: str, equal: bool, soft: bool) -> None:
    assert expression(text) == Expression(key, value, equal, soft)


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "write key==value or key!=value"),
        ("node", "write key==value"),
        ("node=n1", "write key==value"),
        ("node>=3", "write key==value"),
        ("==n1", "a key begins with a letter"),
        ("1st==n1", "a key begins with a letter"),
        ("a b==n1", "a key begins with a letter"),
        ("node==", "printable and not empty"),
        ("node==~", "printable and not empty"),
        ("node==a\x00b", "printable and not empty"),
        ("node==" + "a" * 257, "the value has 257 characters, at most 256"),
        ("n" * 257 + "==a", "the key has 257 characters, at most 256"),
        ("node==/(/", "is no regular expression"),
        ("node==/(?=a)/", "is no regular expression: invalid perl operator: (?="),
        (r"node==/(a)\1/", "is no regular expression: invalid escape sequence"),
        ("node==/((a{99}){99}){99}/", "is no regular expression: invalid repetition size: {99}"),
    ],
)
def test_what_is_no_expression(text: str, why: str) -> None:
    with pytest.raises(InvalidParameter) as caught:
        expression(text, "affinity")
    assert str(caught.value).startswith(f"affinity {text!r} is not valid: ")
    assert why in str(caught.value)


def test_a_long_one_is_not_repeated_whole() -> None:
    with pytest.raises(InvalidParameter) as caught:
        expression("x" * 10_000)
    assert len(str(caught.value)) < 400


def test_they_are_taken_out_of_the_environment() -> None:
    env = ("A=1", "constraint:node.labels.disk==ssd", "affinity:image==~redis", "constraintB=2", "constraint:node!=n2")
    found = placement(env, {"tier": "front"})
    assert found.env == ("A=1", "constraintB=2")
    assert found.constraints == (Expression("node.labels.disk", "ssd"), Expression("node", "n2", equal=False))
    assert found.affinities == (Expression("image", "redis", soft=True),)
    assert {label: json.loads(text) for label, text in found.labels.items()} == {
        "com.docker.swarm.constraints": ["node.labels.disk==ssd", "node!=n2"],
        "com.docker.swarm.affinities": ["image==~redis"],
    }


def test_they_are_read_from_labels() -> None:
    labels = {"com.docker.swarm.constraints": '["disk==ssd"]', "com.docker.swarm.affinities": '["container==db"]'}
    found = placement(("A=1",), labels)
    assert (found.constraints, found.affinities) == ((Expression("disk", "ssd"),), (Expression("container", "db"),))
    assert (found.env, found.labels) == (("A=1",), {}), "the labels stay as they are"
    both = placement(("constraint:node==n1", "constraint:disk==ssd"), labels)
    assert both.constraints == (Expression("disk", "ssd"), Expression("node", "n1")), "each once"


@pytest.mark.parametrize("text", ["", "disk==ssd", '"disk==ssd"', "[1]", "{}", "null"])
def test_a_label_that_is_no_list(text: str) -> None:
    with pytest.raises(InvalidParameter, match=r"com\.docker\.swarm\.constraints must be a JSON list of texts"):
        placement((), {"com.docker.swarm.constraints": text})


def test_too_many() -> None:
    with pytest.raises(InvalidParameter, match="may have 32 expressions of kind affinity, and 33 are given"):
        placement([f"affinity:a{number}==b" for number in range(33)], {})


@pytest.mark.parametrize(
    ("text", "nano_cpus"),
    [("1.5", 1_500_000_000), ("2", 2_000_000_000), ("0.000000001", 1), ("0", 0), ("0.1", 100_000_000)],
)
def test_a_label_reserves_cpus(text: str, nano_cpus: int) -> None:
    assert placement((), {"com.seaway.reservation.cpus": text}).cpu_reservation == nano_cpus
    assert placement((), {}).cpu_reservation == 0


@pytest.mark.parametrize("text", ["", "x", "-1", "1.5 ", "1e3", "0.0000000001", "inf", "1,5", "½", "1" * 10_000])
def test_what_is_no_number_of_cpus(text: str) -> None:
    with pytest.raises(InvalidParameter, match=r"^label com\.seaway\.reservation\.cpus: .* is no number of CPUs"):
        placement((), {"com.seaway.reservation.cpus": text})
