"""Constraints and affinities as classic Swarm took them: `-e constraint:node.labels.disk==ssd`, `affinity:image==a`.

They stand in a container's environment, out of which they are taken, or as a JSON list in a label. The value may have
`*` and `?`, or be a `/regular expression/`; `~` before it makes it a wish. Another label reserves CPUs.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Final

import orjson

from seaway_docker.errors import InvalidParameter
from seaway_docker.patterns import searcher

CPU_RESERVATION_LABEL: Final = "com.seaway.reservation.cpus"
_LABELS: Final = {"constraint": "com.docker.swarm.constraints", "affinity": "com.docker.swarm.affinities"}
_LONGEST_VALUE: Final = 256
_LONGEST_KEY: Final = 256
_MOST: Final = 32
_MOST_SHOWN: Final = 300
_OPERATOR: Final = re.compile(r"==|!=")
_CPUS: Final = re.compile(r"[0-9]{1,6}(\.[0-9]{1,9})?")
_CORE: Final = 1_000_000_000
_KEY: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_./-]*")


@dataclass(frozen=True, slots=True)
class Expression:
    """`key==value`, or `key!=value` if not `equal`. `soft`: a wish."""

    key: str
    value: str
    equal: bool = True
    soft: bool = False


@dataclass(frozen=True, slots=True)
class Placement:
    """What a container asks of its node.

    `env`: the environment without it. `labels`: those that keep what was taken out of the environment, as in Swarm.
    `cpu_reservation`: billionths of a core, by a label, as Docker's API has no field for it.
    """

    constraints: tuple[Expression, ...]
    affinities: tuple[Expression, ...]
    env: tuple[str, ...]
    labels: dict[str, str]
    cpu_reservation: int = 0


def placement(env: Iterable[str], labels: Mapping[str, str]) -> Placement:
    """What environment and labels ask for. Raises InvalidParameter for what can't be read."""
    texts = {kind: _listed(labels, label) for kind, label in _LABELS.items()}
    listed = {kind: len(words) for kind, words in texts.items()}
    rest = []
    for variable in env:
        kind, colon, text = variable.partition(":")
        if colon and kind in texts:
            texts[kind].append(text)
        else:
            rest.append(variable)
    return Placement(
        _expressions("constraint", texts["constraint"]),
        _expressions("affinity", texts["affinity"]),
        tuple(rest),
        {_LABELS[kind]: orjson.dumps(words).decode() for kind, words in texts.items() if len(words) > listed[kind]},
        _reserved_cpus(labels),
    )


def parse_cpus(text: str) -> int:
    """`1.5` in billionths of a core. Raises ValueError."""
    if not _CPUS.fullmatch(text):
        raise ValueError(f"{text[:_MOST_SHOWN]!r} is no number of CPUs: write 2 or 0.5, with at most nine decimals")
    return int(Decimal(text) * _CORE)


def expression(text: str, kind: str = "constraint") -> Expression:
    """An expression from its text; `kind` names it in errors. Raises InvalidParameter."""
    trouble = f"{kind} {text if len(text) <= _MOST_SHOWN else text[:_MOST_SHOWN] + '…'!r} is not valid"
    operator = _OPERATOR.search(text)
    if operator is None:
        raise InvalidParameter(f"{trouble}: write key==value or key!=value")
    key, value = text[: operator.start()].strip(), text[operator.end() :].strip()
    soft = value.startswith("~")
    value = value[1:].strip() if soft else value
    if not _KEY.fullmatch(key):
        raise InvalidParameter(f"{trouble}: a key begins with a letter and has letters, digits, and any of _ . / -")
    if len(key) > _LONGEST_KEY:
        raise InvalidParameter(f"{trouble}: the key has {len(key)} characters, at most {_LONGEST_KEY}")
    _check_value(value, trouble)
    return Expression(key, value, operator[0] == "==", soft)


def _check_value(value: str, trouble: str) -> None:
    if not value or not value.isprintable():
        raise InvalidParameter(f"{trouble}: the value must be printable and not empty")
    if len(value) > _LONGEST_VALUE:
        raise InvalidParameter(f"{trouble}: the value has {len(value)} characters, at most {_LONGEST_VALUE}")
    if value[0] == "/" == value[-1] and len(value) > 1:
        try:
            searcher(value[1:-1])
        except ValueError as error:
            raise InvalidParameter(f"{trouble}: {value} is no regular expression: {error}") from None


def _expressions(kind: str, texts: Sequence[str]) -> tuple[Expression, ...]:
    if len(texts) > _MOST:
        raise InvalidParameter(f"a container may have {_MOST} expressions of kind {kind}, and {len(texts)} are given")
    return tuple(dict.fromkeys(expression(text, kind) for text in texts))


def _reserved_cpus(labels: Mapping[str, str]) -> int:
    text = labels.get(CPU_RESERVATION_LABEL)
    if text is None:
        return 0
    try:
        return parse_cpus(text)
    except ValueError as error:
        raise InvalidParameter(f"label {CPU_RESERVATION_LABEL}: {error}") from None


def _listed(labels: Mapping[str, str], label: str) -> list[str]:
    text = labels.get(label)
    if text is None:
        return []
    try:
        words = orjson.loads(text)
    except orjson.JSONDecodeError:
        words = None
    if not isinstance(words, list) or not all(isinstance(word, str) for word in words):
        raise InvalidParameter(f'label {label} must be a JSON list of texts, as ["node.labels.disk==ssd"]')
    return words
