import pytest

from seaway_contracts.errors import Code, SeawayError
from seaway_docker.references import parse_reference
from seaway_image.oci.digests import Digest
from seaway_image.store.names import NameTable, Outcome, StoredImage, read_target, resolve

A = Digest("sha256:abcd" + "0" * 60)
B = Digest("sha256:abce" + "0" * 60)
M = Digest("sha256:" + "9" * 64)


def table() -> NameTable:
    made = NameTable()
    for image in (A, B):
        made = made.with_image(StoredImage(id=image, manifest=M, layers=()))
    made = made.with_tag(parse_reference("busybox:latest"), A, 5).with_tag(parse_reference("busybox:1"), A, 7)
    return made.with_digest(parse_reference("busybox"), M, A).with_tag(parse_reference("abce:latest"), A, 8)


@pytest.mark.parametrize(
    ("text", "image"),
    [
        ("busybox", A),
        ("docker.io/library/busybox:1", A),
        (f"busybox@{M}", A),
        (f"busybox:nope@{M}", A),
        ("abcd", A),
        ("abcd0", A),
        (A, A),
        (A[7:], A),
        ("sha256:abce", B),
        ("abce0", B),
        ("abce", A),
    ],
)
def test_what_a_text_means(text: str, image: Digest) -> None:
    assert resolve(table(), text) == image


@pytest.mark.parametrize(
    ("text", "code", "message"),
    [
        ("nope", Code.NOT_FOUND, "No such image: nope:latest"),
        ("localhost:5000/x:1", Code.NOT_FOUND, "No such image: localhost:5000/x:1"),
        ("sha256:" + "f" * 64, Code.NOT_FOUND, "No such image: sha256:" + "f" * 64),
        (f"other@{M}", Code.NOT_FOUND, f"No such image: other@{M}"),
        ("abc", Code.NOT_FOUND, "No such image: abc:latest"),
        ("sha256:abc", Code.NOT_FOUND, "No such image: sha256:abc"),
        ("Busybox", Code.BAD_REQUEST, "must be lowercase"),
        ("a b", Code.BAD_REQUEST, "invalid reference format"),
        ("../etc", Code.BAD_REQUEST, "invalid reference format"),
    ],
)
def test_what_means_nothing(text: str, code: Code, message: str) -> None:
    with pytest.raises(SeawayError, match=message) as refused:
        resolve(table(), text)
    assert refused.value.code is code


def test_an_ambiguous_beginning_is_told() -> None:
    close = Digest("sha256:abcd1" + "0" * 59)
    wide = table().with_image(StoredImage(id=close, manifest=M, layers=()))
    with pytest.raises(SeawayError, match="multiple IDs found with provided prefix: abcd"):
        resolve(wide, "abcd")


def test_a_tag_moves_and_remembers_when() -> None:
    moved = table().with_tag(parse_reference("busybox:latest"), B, 9)
    assert [tag.familiar for tag in moved.tags_of(A)] == ["abce:latest", "busybox:1"]
    assert [tag.familiar for tag in moved.tags_of(B)] == ["busybox:latest"]
    assert moved.images[B].last_tag_ns == 9
    assert table().images[A].last_tag_ns == 8


def test_a_table_survives_being_written() -> None:
    assert NameTable.model_validate_json(table().model_dump_json()) == table()


def test_targets() -> None:
    assert read_target("x").familiar == "x:latest"
    with pytest.raises(SeawayError, match="digest reference"):
        read_target(f"x@{M}")
    with pytest.raises(SeawayError, match="ambiguous tag"):
        read_target("sha256")


def test_outcomes_are_known_for_a_minute() -> None:
    minute = 60 * 10**9
    made = NameTable()
    for time_ns in (0, 1, minute):
        made = made.with_outcome(Outcome(command=f"c{time_ns}", time_ns=time_ns))
    assert made.outcome_of("c0") is None
    assert made.outcome_of("c1") == Outcome(command="c1", time_ns=1)
    set_back = made.with_outcome(Outcome(command="c-1", time_ns=-minute))
    assert [one.command for one in set_back.outcomes] == ["c-1"], "a clock that was set back keeps none for ever"


def test_a_flood_of_commands_keeps_the_last_ones() -> None:
    made = NameTable()
    for number in range(1000):
        made = made.with_outcome(Outcome(command=f"c{number}", time_ns=number))
    assert [made.outcome_of(f"c{number}") is not None for number in (487, 488, 999)] == [False, True, True]


def test_a_command_without_an_id_is_none_s_repeat() -> None:
    made = NameTable().with_outcome(Outcome(command="", time_ns=1))
    assert made.outcomes == () and made.outcome_of("") is None
