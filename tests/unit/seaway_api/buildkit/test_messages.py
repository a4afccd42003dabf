"""Trimmed messages: what they don't know survives, and they say what the protocols' own definitions say."""

import re
from pathlib import Path

import pytest

from seaway_api.buildkit.messages import WrongMessage, encode, parse

RECORDED = Path(__file__).parent / "recorded"


@pytest.mark.parametrize(
    ("name", "file"),
    [
        ("SolveRequest", "build.solve"),
        ("SolveRequest", "internal.solve"),
        ("GatewaySolveRequest", "compose.gateway"),
        ("ListWorkersResponse", "workers"),
        ("SolveResponse", "build.answer"),
    ],
)
def test_recorded_messages_survive(name: str, file: str) -> None:
    data = (RECORDED / file).read_bytes()
    message = parse(name, data)
    again = parse(name, message.SerializeToString())
    assert again == message and len(message.SerializeToString()) == len(data)


def test_unknown_fields_survive_a_change() -> None:
    data = encode("SolveRequest", Ref="r") + b"\xfa\x07\x03abc"  # field 127
    message = parse("SolveRequest", data)
    message.Ref = "other"
    assert message.SerializeToString().endswith(b"\xfa\x07\x03abc")


def test_fields_are_those_of_a_compiled_proto(tmp_path: Path) -> None:
    """The table is compared with the protocol where Debian's sources of BuildKit are unpacked."""
    tree = Path("/var/cache/seaway-buildkit/src/tree/buildkit")
    if not tree.exists():
        pytest.skip("Debian's sources of BuildKit aren't unpacked: tests/buildkit/compile.sh does it")
    control = (tree / "api/services/control/control.proto").read_text()
    solve = control.partition("message SolveRequest {")[2].partition("}")[0]
    numbers = {name: int(number) for name, number in re.findall(r"(\w+) = (\d+)", solve)}
    fields = parse("SolveRequest", b"").DESCRIPTOR.fields
    assert {field.name: field.number for field in fields} == {
        field.name: numbers.get(field.name, numbers.get(field.name.removesuffix("Deprecated"))) for field in fields
    }


def test_bytes_that_are_no_message() -> None:
    with pytest.raises(WrongMessage, match="no SolveRequest"):
        parse("SolveRequest", b"\x0a\xff")
