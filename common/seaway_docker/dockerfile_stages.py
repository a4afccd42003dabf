"""The stages of a Dockerfile, and the images that they need from outside. Pure.

What the builder must not be let do is refused here, before it runs; its own policy refuses the same once more.
"""

import re
from collections import ChainMap
from collections.abc import Mapping, MutableMapping
from dataclasses import dataclass
from typing import Final

from seaway_docker.dockerfile import Instruction, instructions, parse_error, raw_words
from seaway_docker.dockerfile_grammar import check, refused_step
from seaway_docker.dockerfile_variables import expand
from seaway_docker.errors import InvalidParameter
from seaway_docker.references import parse_reference

MOST_STAGES: Final = 500
MOST_BASES: Final = 500
MOST_VALUES: Final = 16 << 20
"""Characters in all values of a Dockerfile's arguments together."""
SCRATCH: Final = "scratch"
PREDEFINED: Final = frozenset(
    name
    for proxy in ("HTTP_PROXY", "HTTPS_PROXY", "FTP_PROXY", "NO_PROXY", "ALL_PROXY")
    for name in (proxy, proxy.lower())
)
"""Build arguments that need no ARG."""
_STAGE_NAME: Final = re.compile(r"[a-z][a-z0-9-_.]*")
_IMAGE_ID: Final = re.compile(r"(?:sha256:)?[a-f0-9]{12,64}")
# Where the builder would look for images by itself, which is on the node's disk (containers-transports(5)).
_TRANSPORTS: Final = (
    "containers-storage:", "dir:", "docker-archive:", "docker-daemon:", "docker:/", "oci:", "oci-archive:", "ostree:",
    "sif:", "tarball:", "atomic:",
)  # fmt: skip
_INDEX: Final = "index out of bounds"
_MOUNTED: Final = re.compile(r"(?:^|,)from=([^,]*)")


@dataclass(frozen=True, slots=True)
class Step:
    """An instruction, in the stage of that number; -1 before the first FROM."""

    stage: int
    text: str


@dataclass(slots=True)
class _Stage:
    name: str
    base: str
    variables: MutableMapping[str, str]


@dataclass(frozen=True)
class Outline:
    """What a Dockerfile comes to, up to its target: `steps`, `bases` from outside in their order as written.

    `froms`: what each stage begins with; `target`: the number of the last stage to build; `unused`: the build arguments
    that no ARG takes; `rewritten`: first and last line of each FROM, and what it means. `refused`: why the last of the
    steps can't be carried out, which a client learns when it comes there. `gaps`: the instructions with empty lines.
    `small`: the lines whose instruction is not in capitals, which it is in an image's history, and in what capitals.
    """

    steps: tuple[Step, ...]
    stages: int
    target: int
    froms: tuple[str, ...]
    bases: tuple[str, ...]
    unused: tuple[str, ...] = ()
    rewritten: tuple[tuple[int, int, str], ...] = ()
    refused: str = ""
    gaps: tuple[str, ...] = ()
    small: tuple[tuple[int, str], ...] = ()


class _StepRefused(Exception):
    """A step can't be carried out."""


def outline(
    text: str, arguments: Mapping[str, str | None], target: str = "", platform: Mapping[str, str] | None = None
) -> Outline:
    """Read a Dockerfile. `platform`: the variables that each Dockerfile has (TARGETARCH …).

    Raises InvalidParameter (400) for one that can't be built.
    """
    return _Reading(arguments, platform or {}).read(instructions(text), target)


def resolved(text: str, found: Outline) -> str:
    """The Dockerfile with what its FROMs mean in place of their variables and platforms: nothing is left to look up."""
    lines = text.split("\n")
    for number, word in found.small:
        line = lines[number - 1]
        at = line.find(line.lstrip("\ufeff \t\v\f\r"))
        lines[number - 1] = line[:at] + word + line[at + len(word) :]
    for first, last, line in reversed(found.rewritten):
        lines[first - 1 : last] = [line]
    return "\n".join(lines)


class _Reading:
    def __init__(self, arguments: Mapping[str, str | None], platform: Mapping[str, str]) -> None:
        self._arguments = arguments
        self._global: dict[str, str] = dict(platform)
        self._stages: list[_Stage] = []
        self._steps: list[Step] = []
        self._bases: dict[str, int] = {}
        self._taken: set[str] = set()
        self._platform = platform.get("TARGETPLATFORM", "")
        self._rewritten: list[tuple[int, int, str]] = []
        self._left = MOST_VALUES

    def read(self, found: list[Instruction], target: str) -> Outline:
        for one in found:
            check(one)
        refused = ""
        for one in found:
            try:
                self._take(one)
            except _StepRefused as error:
                refused = refused or str(error)
        if not self._stages:
            raise InvalidParameter("No build stage in current context")
        last = self._target(target)
        unused = sorted(set(self._arguments) - self._taken - PREDEFINED)
        return Outline(
            tuple(step for step in self._steps if step.stage <= last),
            len(self._stages),
            last,
            tuple(stage.base for stage in self._stages[: last + 1]),
            tuple(name for name, stage in self._bases.items() if stage <= last),
            tuple(unused),
            tuple(self._rewritten),
            refused,
            tuple(one.text for one in found if one.has_gap),
            tuple((one.line, one.word.upper()) for one in found if not one.text.startswith(one.word.upper())),
        )

    def _take(self, one: Instruction) -> None:
        if one.word != "from" and one.word != "arg" and not self._stages:
            raise InvalidParameter("no build stage in current context")
        self._steps.append(Step(len(self._stages) - (one.word != "from"), one.text))
        if one.word == "from":
            self._begin_stage(one)
        elif one.word == "arg":
            self._declare(one)
        elif one.word in ("copy", "add", "run"):
            self._look_at(one)
        elif why := refused_step(one):
            raise _StepRefused(why)

    def _target(self, target: str) -> int:
        if not target:
            return len(self._stages) - 1
        for number, stage in enumerate(self._stages):
            if stage.name == target.lower():
                return number
        raise InvalidParameter(f'target stage "{target}" could not be found')

    # --- one instruction

    def _begin_stage(self, one: Instruction) -> None:
        words = one.rest.split()
        if len(words) not in (1, 3) or (len(words) == 3 and words[1].lower() != "as"):
            raise parse_error(one.line, "FROM requires either one or three arguments")
        name = words[2].lower() if len(words) == 3 else ""
        if name and not _STAGE_NAME.fullmatch(name):
            raise parse_error(
                one.line,
                f'invalid name for build stage: "{name[:60]}", name can\'t start with a number or contain symbols',
            )
        if len(self._stages) == MOST_STAGES:
            raise InvalidParameter(f"the Dockerfile has more than {MOST_STAGES} stages")
        for platform in one.values("platform"):
            self._check_platform(one, expand(platform, self._global))
        base = expand(words[0], self._global)
        self._rewritten.append((one.line, one.end, " ".join(("FROM", base, *words[1:]))))
        stage, known = len(self._stages), self._stage_of(base)
        self._stages.append(_Stage(name, base, ChainMap({}, self._global)))
        if not base:
            raise _StepRefused(f"base name ({words[0][:60]}) should not be blank")
        if any(letter.isspace() for letter in base):
            raise _StepRefused("invalid reference format")
        if base.lower() != SCRATCH and known is None:
            self._need(base, stage)

    def _check_platform(self, one: Instruction, platform: str) -> None:
        if platform and self._platform and not same_platform(platform, self._platform):
            raise parse_error(one.line, f"FROM --platform={platform[:60]}: only {self._platform} can be built here")

    def _declare(self, one: Instruction) -> None:
        """An ARG: a build argument, else a default, else what an ARG before the first FROM says."""
        if not one.rest:
            raise parse_error(one.line, "ARG requires at least one argument")
        scope = self._stages[-1].variables if self._stages else self._global
        for word in raw_words(one.rest):
            name, sign, default = word.partition("=")
            self._taken.add(name)
            given = self._arguments.get(name)
            if given is not None:
                scope[name] = given
            elif sign:
                scope[name] = self._counted(expand(default, scope))

    def _counted(self, value: str) -> str:
        """An argument's default. Each may repeat a long one before it, so all of them are bounded."""
        self._left -= len(value)
        if self._left < 0:
            raise InvalidParameter(f"the Dockerfile's arguments come to more than {MOST_VALUES} characters")
        return value

    def _look_at(self, one: Instruction) -> None:
        if one.word == "run":
            self._check_run(one)
            sources = [name for mount in one.values("mount") for name in _MOUNTED.findall(mount)]
        else:
            sources = one.values("from")
        for source in sources:
            name = expand(source, self._stages[-1].variables)
            if name and name.lower() != SCRATCH and not self._is_stage(name):
                self._need(name, len(self._stages) - 1)

    def _check_run(self, one: Instruction) -> None:
        for network in one.values("network"):
            if network not in ("default", "none"):
                raise parse_error(
                    one.line, f"RUN --network={network[:60]} is not allowed: a step has the build's network, or none"
                )
        for security in one.values("security"):
            if security != "sandbox":
                raise parse_error(one.line, f"RUN --security={security[:60]} is not allowed: steps run confined")

    def _is_stage(self, name: str) -> bool:
        """Whether a COPY means a stage before its own, by name or number."""
        own = len(self._stages) - 1
        if name.isdecimal():
            if len(name) > 5 or int(name) > own:
                raise _StepRefused(f"invalid from flag value {name[:20]}: {_INDEX}")
            if int(name) == own:
                raise _StepRefused(f"invalid from flag value {name[:20]}: refers to current build stage")
            return True
        number = self._stage_of(name)
        if number == own:
            raise _StepRefused(f"invalid from flag value {name[:60]}: refers to current build stage")
        return number is not None

    def _stage_of(self, name: str) -> int | None:
        for number in range(len(self._stages) - 1, -1, -1):
            if self._stages[number].name and self._stages[number].name == name.lower():
                return number
        return None

    def _need(self, name: str, stage: int) -> None:
        try:
            check_source(name)
        except InvalidParameter as error:
            raise _StepRefused(str(error)) from None
        self._bases.setdefault(name, stage)
        if len(self._bases) > MOST_BASES:
            raise InvalidParameter(f"the Dockerfile names more than {MOST_BASES} images")


def same_platform(asked: str, own: str) -> bool:
    """Whether `linux/amd64`, `amd64` or `linux` name this platform; a variant that isn't given is any."""
    parts, mine = asked.lower().split("/"), own.split("/")
    if len(parts) == 1:
        parts = [parts[0]] if parts[0] == mine[0] else [mine[0], parts[0]]
    names = {"x86_64": "amd64", "x86-64": "amd64", "aarch64": "arm64"}
    return [names.get(part, part) for part in parts] == mine[: len(parts)]


def check_source(name: str) -> None:
    """Raise InvalidParameter for an image that is no name in a registry, nor an id, such as a path on the node."""
    if name.startswith(_TRANSPORTS) or "://" in name:
        raise InvalidParameter(
            f"{name[:100]}: images are named as registries name them, or by id; nothing else is taken"
        )
    if not _IMAGE_ID.fullmatch(name):
        try:
            parse_reference(name)
        except InvalidParameter as error:
            raise InvalidParameter(str(error)) from None
