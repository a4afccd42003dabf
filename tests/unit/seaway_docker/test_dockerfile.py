"""Reading a Dockerfile: instructions, stages, bases, and the bounds."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from seaway_docker.dockerfile import Instruction, instructions
from seaway_docker.dockerfile_stages import check_source, outline, resolved, same_platform
from seaway_docker.dockerfile_variables import expand
from seaway_docker.errors import InvalidParameter

PLATFORM = {"TARGETPLATFORM": "linux/amd64", "TARGETARCH": "amd64"}


def refusal(text: str) -> str:
    """Why a Dockerfile can't be built: at once, or when a step comes."""
    try:
        return outline(text, {}, platform=PLATFORM).refused
    except InvalidParameter as error:
        return str(error)


def test_lines_are_joined_as_docker_prints_them() -> None:
    text = "# syntax=x\n\nFROM busybox AS a\nRUN echo \\\n  hi  \\\n # a comment\n\n  there > /a\n"
    assert instructions(text) == [
        Instruction("from", (), "busybox AS a", "FROM busybox AS a", 3, 3),
        Instruction("run", (), "echo   hi    there > /a", "RUN echo   hi    there > /a", 4, 8, True),
    ]


def test_another_escape_character() -> None:
    assert [one.text for one in instructions("# escape=`\nFROM x\nRUN a `\n b\\\n")] == ["FROM x", "RUN a  b\\"]


def test_heredocs_are_passed_over() -> None:
    text = "FROM x\nRUN <<A cat && <<-'B' cat\nFROM evil\nA\n\tRUN b\n\tB\nCOPY <<EOF /f\nFROM worse\nEOF\n"
    assert [one.word for one in instructions(text)] == ["from", "run", "copy"]
    assert [one.word for one in instructions('FROM x\nRUN echo "a <<EOF"\nRUN b\n')] == ["from", "run", "run"]


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("FOO bar", "dockerfile parse error on line 1: unknown instruction: FOO (did you mean FROM?)"),
        ("# only a comment", "failed to parse Dockerfile: file with no instructions"),
        ("FROM x\nRUN <<EOF\na", "dockerfile parse error on line 2: unterminated heredoc"),
        ("FROM a b", "dockerfile parse error on line 1: FROM requires either one or three arguments"),
        ("RUN a", "no build stage in current context"),
        ("FROM ${X", "bad substitution in the Dockerfile: a brace is not closed"),
        ("FROM x AS 1", "invalid name for build stage"),
        ("FROM x AS a\nCOPY --from=a / /", "invalid from flag value a: refers to current build stage"),
        ("FROM x\nCOPY --from=3 / /", "invalid from flag value 3: index out of bounds"),
        ("FROM x\nRUN --network=host a", "RUN --network=host is not allowed"),
        ("FROM x\nRUN --security=insecure a", "RUN --security=insecure is not allowed"),
        ("FROM --platform=linux/arm64 x", "only linux/amd64 can be built here"),
        ("FROM x\n" + "RUN a\n" * 10_001, "more than 10000 instructions"),
        ("FROM x\n" + "".join(f"COPY --from=i{n} / /\n" for n in range(600)), "more than 500 images"),
        ("FROM x\n" * 501, "more than 500 stages"),
        ("FROM x\nRUN " + "a" * (1 << 20), "greater than maximum allowed size"),
        ("FROM x\n" + "#" * (5 << 20), "more than 4194304 bytes"),
        ("ARG A=aaaa\n" + "ARG A=$A$A$A$A\n" * 30 + "FROM $A", "grow to more than 65536 characters"),
        ("FROM " + "${A:-" * 30 + "}" * 30, "nests variables too deeply"),
    ],
)
def test_what_cannot_be_built(text: str, sentence: str) -> None:
    assert sentence in refusal(text)


@pytest.mark.parametrize(
    "name", ["oci:/etc", "oci:etc", "dir:/x", "docker-archive:/x", "containers-storage:x", "docker://x", "http://x/y",
             "oci-archive:/x", "docker-daemon:x", "../x", "/etc", "tarball:/x"],
)  # fmt: skip
@pytest.mark.parametrize("form", ["FROM {}", "FROM x\nCOPY --from={} / /", "FROM x\nRUN --mount=type=bind,from={} a"])
def test_no_image_is_taken_from_the_node(name: str, form: str) -> None:
    assert refusal(form.format(name))


def test_images_with_such_names_are_images() -> None:
    for name in ("docker:24-dind", "docker", "localhost:5000/a/b:1", "0123456789ab", "sha256:" + "a" * 64):
        check_source(name)


def test_the_bases_of_all_forms() -> None:
    text = (
        "ARG V=1\nFROM ${R:-docker.io}/app:$V AS one\nFROM one AS two\nFROM scratch\nCOPY --from=two /a /b\n"
        "COPY --from=tools:2 /a /b\nRUN --mount=type=bind,from=other,target=/x --mount=type=cache,target=/c a\n"
    )
    found = outline(text, {"V": "7", "W": "x"}, platform=PLATFORM)
    assert found.bases == ("docker.io/app:7", "tools:2", "other")
    assert (found.froms, found.stages, found.target) == (("docker.io/app:7", "one", "scratch"), 3, 2)
    assert found.unused == ("W",)
    assert [step.stage for step in found.steps] == [-1, 0, 1, 2, 2, 2, 2]


def test_only_what_the_target_needs_is_taken() -> None:
    found = outline("FROM a AS x\nRUN 1\nFROM b AS y\nRUN 2\n", {}, target="X")
    assert (found.target, found.bases, len(found.steps)) == (0, ("a",), 2)
    with pytest.raises(InvalidParameter, match='target stage "z" could not be found'):
        outline("FROM a AS x", {}, target="z")


def test_the_builder_gets_no_variables_in_froms() -> None:
    text = "ARG A=busybox\nFROM --platform=$TARGETPLATFORM \\\n $A AS s\nRUN echo $A\n"
    found = outline(text, {}, platform=PLATFORM)
    assert resolved(text, found) == "ARG A=busybox\nFROM busybox AS s\nRUN echo $A\n"


@pytest.mark.parametrize(
    ("word", "value"),
    [
        ("$A/$B", "1/"), ("${A}2", "12"), ("${B:-x$A}", "x1"), ("${E:-x}", "x"), ("${E-x}", ""), ("${A:+y}", "y"),
        ("${B+y}", ""), ("'$A'", "$A"), ('"$A"', "1"), ("\\$A", "$A"), ("a$", "a$"),
    ],
)  # fmt: skip
def test_variables(word: str, value: str) -> None:
    assert expand(word, {"A": "1", "E": ""}) == value


@pytest.mark.parametrize(
    ("asked", "same"),
    [("linux/amd64", True), ("amd64", True), ("linux", True), ("linux/x86_64", True), ("linux/arm64", False)],
)
def test_platforms(asked: str, same: bool) -> None:
    assert same_platform(asked, "linux/amd64") is same


@given(st.text(alphabet=st.sampled_from("FROM RUN COPY ARG as--from=<$EOF{}:-\"'\\\n\t #x1"), max_size=400))
def test_any_text_is_read_or_refused(text: str) -> None:
    try:
        found = outline(text, {"x": "y"}, platform=PLATFORM)
    except InvalidParameter:
        return
    assert len(found.froms) == found.target + 1
    resolved(text, found)


def test_the_history_has_instructions_in_capitals() -> None:
    text = "\ufefffrom x\n  run a \\\n  b\nCmd c\nRUN d\n"
    assert resolved(text, outline(text, {})) == "FROM x\n  RUN a \\\n  b\nCMD c\nRUN d\n"


def test_empty_lines_within_an_instruction_are_named() -> None:
    assert outline("FROM x\nRUN a \\\n\n b\nRUN c \\\n# no gap\n d\n", {}).gaps == ("RUN a  b",)
