"""Prometheus' text format for containers. Pure.

Text is made directly, as a node with a hundred containers has some ten thousand samples: by way of prometheus_client's
objects they take ten times as long.
"""

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Generic, Literal, TypeVar

T = TypeVar("T")
Kind = Literal["counter", "gauge"]
Labels = Mapping[str, str]
_NO_LABEL: Final = re.compile(r"[^a-zA-Z0-9_]")


@dataclass(frozen=True, slots=True)
class Single(Generic[T]):
    """A family with one sample for each subject at most. `name` is that of its samples; None: no sample."""

    name: str
    type: Kind
    help: str
    value: Callable[[T], float | None]


@dataclass(frozen=True, slots=True)
class Many(Generic[T]):
    """A family with any number of samples for each subject: their own labels, as `labels_text` has them, and values."""

    name: str
    type: Kind
    help: str
    values: Callable[[T], Iterable[tuple[str, float]]]


Family = Single[T] | Many[T]


def labels_text(labels: Labels) -> str:
    """Labels as they stand between braces. Empty ones are left out: to Prometheus they are the same as none."""
    return ",".join(f'{name}="{escaped(value)}"' for name, value in sorted(labels.items()) if value)


def label_name(text: str) -> str:
    """What becomes of a word in a label's name, as with cAdvisor: `com.docker.compose.project` has underscores."""
    return _NO_LABEL.sub("_", text)


def render(families: Iterable[Family[T]], subjects: Sequence[tuple[T, str]]) -> Iterator[str]:
    """The text of families of these subjects, each with its labels' text; of each family at least its head."""
    for family in families:
        yield f"# HELP {family.name} {family.help}\n# TYPE {family.name} {family.type}\n"
        name = family.name
        if isinstance(family, Single):
            value = family.value
            for subject, labels in subjects:
                if (number := value(subject)) is not None:
                    yield f"{name}{{{labels}}} {number}\n"
        else:
            values = family.values
            for subject, labels in subjects:
                for more, number in values(subject):
                    yield f"{name}{{{labels},{more}}} {number}\n"


def escaped(value: str) -> str:
    """A label's value as it stands between quotes."""
    if "\\" in value or '"' in value or "\n" in value:
        return value.replace("\\", r"\\").replace('"', r"\"").replace("\n", r"\n")
    return value
