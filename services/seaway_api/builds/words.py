"""What a node says of a build, in the words of Docker's classic builder (moby 26.1, builder/dockerfile). Pure."""

import hashlib
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final

import orjson

from seaway_api.builds.failures import Failure, failure_of
from seaway_contracts.builds import BuildPlan, BuildRecord
from seaway_docker.streams import error_line, stream_line

SHORT: Final = 12
_STEP: Final = re.compile(r"(?:\[(\d{1,6})/\d{1,6}\] )?STEP (\d{1,6})/(\d{1,6}): ")
_IMAGE: Final = re.compile(r"--> ([0-9a-f]{12})")
_CACHED: Final = re.compile(r"--> Using cache ([0-9a-f]{64})")
_COPYING: Final = frozenset(("add", "copy", "from", "run"))
_EMPTY: Final = "No image was generated. Is your Dockerfile empty?"
_LATER: Final = "Empty continuation lines will become errors in a future release."
_RED: Final = "\x1b[91m"
_PLAIN: Final = "\x1b[0m"


@dataclass(frozen=True)
class BuildWords:
    """How a client wants to be told. `labels`: those that the client gave, which make a last step."""

    labels: Mapping[str, str] = field(default_factory=dict)
    tags: tuple[str, ...] = ()
    keeps_containers: bool = False


class Narrator:
    """Turns records into lines for the client, one build long. `ids` are those of the bases, by name."""

    def __init__(self, plan: BuildPlan, wanted: BuildWords) -> None:
        self._wanted = wanted
        self._plan = plan
        self._before = [step.text for step in plan.steps if step.stage < 0]
        self._stages = [[step.text for step in plan.steps if step.stage == n] for n in range(plan.target + 1)]
        self._labels = [f"LABEL {key}={value}" for key, value in sorted(wanted.labels.items())]
        self._stages[-1] += self._labels
        self._total = len(self._before) + sum(map(len, self._stages))
        self._images: dict[int, str] = {}
        self._stage = self._number = -1
        self._announced = -1
        self._text = ""
        self._container = ""
        self._args: tuple[str, ...] = ()
        self._cached = False
        self._is_labelling = self._has_more_triggers = False
        self._refused = ""
        self._ids: Mapping[str, str] = {}
        self._known_triggers: Mapping[str, int] = {}

    def announce(self) -> list[bytes]:
        """The first FROM, before its image is pulled."""
        self._announced = 0
        lines = [_red(f"[WARNING]: Empty continuation line found in: {text}\n") for text in self._plan.gaps]
        lines += [_red(f"[WARNING]: {_LATER}\n")] if lines else []
        for number, text in enumerate(self._before, 1):
            lines += self._step_lines(number, text)
        return lines + self._step_lines(len(self._before) + 1, self._stages[0][0])

    def know(self, ids: Mapping[str, str], triggers: Mapping[str, int] | None = None) -> None:
        """The bases are here: their ids, and how many instructions each triggers, by the names in the Dockerfile."""
        self._ids = ids
        self._known_triggers = triggers or {}

    def tell(self, record: BuildRecord) -> list[bytes]:
        """The lines for one record."""
        match record.kind:
            case "line":
                return self._line(record.text)
            case "run":
                self._container, self._args = record.text, record.args
                return [stream_line(f" ---> Running in {record.text[:SHORT]}\n")]
            case "out":
                return [stream_line(record.text)]
            case "err":
                return [_red(record.text)]
            case "refused":
                self._refused = record.text
        return []

    def done(self, image: str) -> list[bytes]:
        """The image is there, and has its tags."""
        short = image.removeprefix("sha256:")[:SHORT]
        lines = [orjson.dumps({"aux": {"ID": image}}) + b"\r\n"]
        if self._plan.unused:
            named = " ".join(self._plan.unused)
            lines.append(stream_line(f"[Warning] One or more build-args [{named}] were not consumed\n"))
        lines.append(stream_line(f"Successfully built {short}\n"))
        return lines + [stream_line(f"Successfully tagged {tag}\n") for tag in self._wanted.tags]

    def makes_nothing(self) -> list[bytes]:
        """The lines of a target that is `FROM scratch` alone; none if there is more of it."""
        if self._plan.froms[self._plan.target].lower() != "scratch" or len(self._stages[-1]) > 1:
            return []
        return [*self.announce(), stream_line(" ---> \n"), error_line(_EMPTY)]

    def failed(self, record: BuildRecord) -> bytes:
        """Why it ended without an image."""
        found: Failure = failure_of(self._text, self._args if self._container else (), self._refused, record)
        return error_line(found.message, found.code)

    # --- the builder's own lines

    def _line(self, line: str) -> list[bytes]:
        if found := _STEP.match(line):
            stage = int(found[1]) - 1 if found[1] else 0
            return self._begin(stage, int(found[2]), int(found[3]), line[found.end() :])
        if found := _CACHED.fullmatch(line):
            self._cached = True
            return [] if self._is_labelling else [stream_line(" ---> Using cache\n")]
        if found := _IMAGE.fullmatch(line):
            return self._made(found[1])
        return []

    def _begin(self, stage: int, number: int, count: int, text: str) -> list[bytes]:
        """A step begins. What a base image triggers is a step of the builder's alone, behind the FROM."""
        if not 0 <= stage < len(self._stages):
            return []
        steps, labels = self._stages[stage], self._labels if stage == len(self._stages) - 1 else []
        triggers = max(0, count - (len(steps) - len(labels) + bool(labels)))
        lines: list[bytes] = self.announce() if self._announced < 0 else []
        self._stage, self._container, self._args, self._cached = stage, "", (), False
        self._is_labelling, self._has_more_triggers = bool(labels) and number == count, 1 < number <= triggers
        if number == 1:
            lines += self._begin_stage(stage, self._known_triggers.get(self._plan.froms[stage], 0))
        elif number <= 1 + triggers:
            self._text = text
        elif self._is_labelling:
            self._text = labels[0]
        else:
            place = min(number - triggers, len(steps))
            self._text = steps[place - 1]
            lines += self._step_lines(self._offset(stage) + place, self._text)
        return lines

    def _begin_stage(self, stage: int, triggers: int) -> list[bytes]:
        self._text = self._stages[stage][0]
        lines = self._step_lines(self._offset(stage) + 1, self._text) if self._announced > 0 or stage else []
        self._announced = 1
        if triggers:
            return [
                *lines,
                stream_line(f"# Executing {triggers} build trigger{'s' * (triggers > 1)}"),
                stream_line("\n"),
            ]
        return [*lines, stream_line(f" ---> {self._base(stage)}\n")]

    def _offset(self, stage: int) -> int:
        return len(self._before) + sum(map(len, self._stages[:stage]))

    def _step_lines(self, number: int, text: str) -> list[bytes]:
        return [stream_line(f"Step {number}/{self._total} : {text}"), stream_line("\n")]

    def _base(self, stage: int) -> str:
        """The short id of what a stage begins with: nothing for scratch, an earlier stage's image, or a base."""
        name = self._plan.froms[stage] if stage < len(self._plan.froms) else ""
        if name in self._ids:
            return self._ids[name].removeprefix("sha256:")[:SHORT]
        for number in range(stage - 1, -1, -1):
            words = self._stages[number][0].split()
            if len(words) > 2 and words[-2].lower() == "as" and words[-1].lower() == name.lower():
                return self._images.get(number, "")
        return ""

    def _made(self, short: str) -> list[bytes]:
        self._images[self._stage] = short
        if self._text.partition(" ")[0].lower() == "from":
            return []
        if self._is_labelling:
            return self._labelled(short)
        return [*self._containers(), *([] if self._has_more_triggers else [stream_line(f" ---> {short}\n")])]

    def _labelled(self, short: str) -> list[bytes]:
        """The builder sets all labels of the client in one step; Docker's has one for each."""
        lines: list[bytes] = []
        first = self._total - len(self._labels) + 1
        for number, text in enumerate(self._labels, first):
            self._text = text
            image = short if number == self._total else _made_up(short, number)
            lines += self._step_lines(number, text)
            lines += [stream_line(" ---> Using cache\n")] if self._cached else self._containers()
            lines.append(stream_line(f" ---> {image}\n"))
        return lines

    def _containers(self) -> Iterable[bytes]:
        """Docker also has a container for each step that only changes the config; there is none here."""
        word = self._text.partition(" ")[0].lower()
        if self._cached or (not self._container and word in _COPYING):
            return
        container = self._container[:SHORT]
        if not container:
            container = _made_up(self._total, self._stage, self._text)
            yield stream_line(f" ---> Running in {container}\n")
        if not self._wanted.keeps_containers:
            yield stream_line(f" ---> Removed intermediate container {container}\n")


def _red(text: str) -> bytes:
    return stream_line(f"{_RED}{text}{_PLAIN}")


def _made_up(*parts: object) -> str:
    """A short id for a container that there is not."""
    return hashlib.sha256(repr(parts).encode()).hexdigest()[:SHORT]
