"""A seccomp filter in fewer instructions, with the same answer for every call. Pure.

libseccomp compares with the number of each system call by itself, though most neighbours have the same answer; and the
kernel translates each instruction whenever a filter is installed. So the program is followed with architecture and
number known, for one range of them after another. What it comes to is an answer, or a rest that looks at arguments.
The new program searches for the range.
"""

import operator
import struct
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from operator import itemgetter
from typing import Final, NamedTuple

# linux/bpf_common.h: the instructions that libseccomp uses. All but LOAD are of the kind BPF_K.
_LOAD: Final = 0x20  # BPF_LD | BPF_W | BPF_ABS
_AND: Final = 0x54
_JUMP: Final = 0x05
_RETURN: Final = 0x06
_EQUAL: Final = 0x15
_GREATER: Final = 0x25
_AT_LEAST: Final = 0x35
_TESTS: Final[Mapping[int, Callable[[int, int], bool]]] = {
    _EQUAL: operator.eq,
    _GREATER: operator.gt,
    _AT_LEAST: operator.ge,
}
_CHANGES: Final[Mapping[int, tuple[int, ...]]] = {_EQUAL: (0, 1), _GREATER: (1,), _AT_LEAST: (0,)}
"""Where, from the constant on, a test's result becomes another."""

# struct seccomp_data
_NUMBER: Final = 0
_ARCH: Final = 4
_OTHERS: Final = range(8, 64, 4)
_NOTHING: Final = -1

_LAST: Final = 0xFFFFFFFF
_NEAR: Final = 0xFF
_ODD: Final = 2
"""How many values are compared one by one where the search ends: with more it takes longer, and hardly less room."""
_GROUP: Final = 2 * _ODD + 1
_INSTRUCTION: Final = struct.Struct("=HBBI")


class NotUnderstoodError(Exception):
    """The program does what libseccomp's don't."""


class Instruction(NamedTuple):
    """struct sock_filter."""

    code: int
    yes: int
    no: int
    k: int


class _Node(NamedTuple):
    """An instruction that names its successors: of a test that for yes and that for no."""

    code: int
    k: int
    following: tuple[int, ...]


class _Range(NamedTuple):
    first: int
    last: int
    node: int


class _Group(NamedTuple):
    """Neighbours of one and the same node, but for some odd values."""

    first: int
    usual: int
    odd: Sequence[_Range]


class _State(NamedTuple):
    """Before an instruction; `held` is the place in struct seccomp_data of what the accumulator holds."""

    at: int
    held: int


def smaller(filter_: bytes) -> bytes:
    """The filter in fewer instructions; as it is, where that can't be had."""
    try:
        made = rewritten(filter_)
    except NotUnderstoodError:
        return filter_
    return made if len(made) < len(filter_) else filter_


def rewritten(filter_: bytes) -> bytes:
    """Raises NotUnderstoodError."""
    if len(filter_) % _INSTRUCTION.size:
        raise NotUnderstoodError
    program = [Instruction(*fields) for fields in _INSTRUCTION.iter_unpack(filter_)]
    graph = _Graph()
    root = _whole(graph, program)
    return b"".join(_INSTRUCTION.pack(*instruction) for instruction in _laid_out(graph, root))


@dataclass
class _Graph:
    """The new program, in which nothing stands twice. A node's successors are older than itself."""

    nodes: list[_Node] = field(default_factory=list)
    _ids: dict[_Node, int] = field(default_factory=dict)

    def add(self, code: int, k: int, *following: int) -> int:
        if self._is_idle(code, following):
            return following[0]
        node = _Node(code, k, following)
        if node not in self._ids:
            self._ids[node] = len(self.nodes)
            self.nodes.append(node)
        return self._ids[node]

    def _is_idle(self, code: int, following: Sequence[int]) -> bool:
        if code in _TESTS:
            return following[0] == following[1]
        return code != _RETURN and self.nodes[following[0]].code in (_LOAD, _RETURN)

    def of(self, root: int) -> list[int]:
        """What the program from there on consists of, the oldest first."""
        found, ahead = {root}, [root]
        while ahead:
            new = set(self.nodes[ahead.pop()].following) - found
            found |= new
            ahead += new
        return sorted(found)


# --- what the program comes to


class _Walk:
    """Follows the program for one architecture and number, and notes the `last` of each that go the same way."""

    def __init__(self, program: Sequence[Instruction], arch: int, number: int) -> None:
        self._program = program
        self._known = {_ARCH: arch, _NUMBER: number}
        self.last = {_ARCH: _LAST, _NUMBER: _LAST}

    def residue(self, graph: _Graph) -> int:
        """The node of what is left to be done."""
        start = self._onward(0, _NOTHING)
        following: dict[_State, list[_State]] = {}
        ahead = [start]
        while ahead:
            state = ahead.pop()
            if state not in following:
                following[state] = list(self._following(state))
                ahead += following[state]
        made: dict[_State, int] = {}
        for state in sorted(following, reverse=True):  # what comes after is made before: jumps lead forward
            instruction = self._program[state.at]
            made[state] = graph.add(instruction.code, instruction.k, *(made[after] for after in following[state]))
        return made[start]

    def _onward(self, at: int, held: int) -> _State:
        """To the next instruction that architecture and number don't settle."""
        while True:
            if at >= len(self._program):
                raise NotUnderstoodError
            code, yes, no, k = self._program[at]
            if code == _LOAD and k in self._known:
                held = k
                at += 1
            elif code == _JUMP:
                at += 1 + k
            elif code in _TESTS and held in self._known:
                at += 1 + (yes if self._holds(code, held, k) else no)
            else:
                return _State(at, held)

    def _holds(self, code: int, held: int, k: int) -> bool:
        value = self._known[held]
        for change in _CHANGES[code]:
            if value < k + change:
                self.last[held] = min(self.last[held], k + change - 1)
        return _TESTS[code](value, k)

    def _following(self, state: _State) -> Iterator[_State]:
        code, yes, no, k = self._program[state.at]
        if code == _LOAD and k in _OTHERS:
            yield self._onward(state.at + 1, k)
        elif code == _AND and state.held in _OTHERS:
            yield self._onward(state.at + 1, state.held)
        elif code in _TESTS and state.held in _OTHERS:
            yield self._onward(state.at + 1 + yes, state.held)
            yield self._onward(state.at + 1 + no, state.held)
        elif code != _RETURN:
            raise NotUnderstoodError


def _whole(graph: _Graph, program: Sequence[Instruction]) -> int:
    def of_arch(arch: int) -> tuple[int, int]:
        last = _LAST

        def of_number(number: int) -> tuple[int, int]:
            nonlocal last
            walk = _Walk(program, arch, number)
            node = walk.residue(graph)
            last = min(last, walk.last[_ARCH])
            return node, walk.last[_NUMBER]

        found = _search(graph, _ranges(of_number))
        return graph.add(_LOAD, _NUMBER, found), last

    return graph.add(_LOAD, _ARCH, _search(graph, _ranges(of_arch)))


def _ranges(answer: Callable[[int], tuple[int, int]]) -> list[_Range]:
    """All values; `answer` gives a value's node, and up to which other value it is the same."""
    found: list[_Range] = []
    first = 0
    while first <= _LAST:
        node, last = answer(first)
        if found and found[-1].node == node:
            found[-1] = found[-1]._replace(last=last)
        else:
            found.append(_Range(first, last, node))
        first = last + 1
    return found


# --- the search


def _search(graph: _Graph, ranges: Sequence[_Range]) -> int:
    return _halved(graph, _groups(ranges))


def _halved(graph: _Graph, groups: Sequence[_Group]) -> int:
    if len(groups) == 1:
        return _one_by_one(graph, groups[0])
    middle = len(groups) // 2
    below = _halved(graph, groups[:middle])
    above = _halved(graph, groups[middle:])
    return graph.add(_AT_LEAST, groups[middle].first, above, below)


def _one_by_one(graph: _Graph, group: _Group) -> int:
    """The highest is compared first: of architectures that is the machine's own, not its older 32-bit one."""
    node = group.usual
    for one in group.odd:
        node = graph.add(_EQUAL, one.first, one.node, node)
    return node


def _groups(ranges: Sequence[_Range]) -> list[_Group]:
    """Those that take the fewest tests: one between two groups, and one for each odd value."""
    cheapest: list[tuple[int, list[_Group]]] = [(0, [])]  # of that many ranges from the first on
    for end in range(1, len(ranges) + 1):
        choices = []
        for start in range(max(0, end - _GROUP), end):
            tests, before = cheapest[start]
            group = _group(ranges[start:end])
            if group is not None:
                choices.append((tests + 1 + len(group.odd), [*before, group]))
        cheapest.append(min(choices, key=itemgetter(0)))
    return cheapest[-1][1]


def _group(ranges: Sequence[_Range]) -> _Group | None:
    found = []
    for usual in {one.node for one in ranges}:
        odd = [one for one in ranges if one.node != usual]
        if len(odd) <= _ODD and all(one.first == one.last for one in odd):
            found.append(_Group(ranges[0].first, usual, odd))
    return min(found, key=lambda group: len(group.odd), default=None)


# --- the instructions


def _laid_out(graph: _Graph, root: int) -> list[Instruction]:
    layout = _Layout(graph)
    for node in graph.of(root):
        layout.place(node)
    return layout.backwards[::-1]


class _Layout:
    """Written from the end backwards: what an instruction leads to stands already."""

    def __init__(self, graph: _Graph) -> None:
        self._graph = graph
        self._places: dict[int, int] = {}
        self.backwards: list[Instruction] = []

    def place(self, node: int) -> None:
        code, k, following = self._graph.nodes[node]
        # one less: what is put there for the second may move the first further away
        within = _NEAR - 1 if code in _TESTS else 0
        for after in following:
            self._bring_near(after, within)
        yes, no = (self._distance(after) for after in following) if code in _TESTS else (0, 0)
        self._write(node, Instruction(code, yes, no, k))

    def _bring_near(self, node: int, within: int) -> None:
        """An answer is given a second time, all else is jumped to."""
        distance = self._distance(node)
        if distance > within:
            code, k, _ = self._graph.nodes[node]
            self._write(node, Instruction(_RETURN, 0, 0, k) if code == _RETURN else Instruction(_JUMP, 0, 0, distance))

    def _distance(self, node: int) -> int:
        return len(self.backwards) - self._places[node] - 1

    def _write(self, node: int, instruction: Instruction) -> None:
        self._places[node] = len(self.backwards)
        self.backwards.append(instruction)
