"""A build as a conversation: what the node says, and exactly what the client is told."""

import json
from typing import Any

import pytest

from seaway_api.builds.words import BuildWords, Narrator
from seaway_contracts.builds import BuildPlan, BuildRecord, BuildStep

BASE = "70f7f7033d09" + "0" * 52
RUN = "ab" * 32


def plan(*texts: tuple[int, str], froms: tuple[str, ...] = ("busybox",), unused: tuple[str, ...] = ()) -> BuildPlan:
    steps = tuple(BuildStep(stage=stage, text=text) for stage, text in texts)
    return BuildPlan(
        steps=steps, stages=len(froms), target=len(froms) - 1, froms=froms, bases=("busybox",), unused=unused
    )


def told(lines: list[bytes]) -> list[Any]:
    found = [json.loads(line) for line in lines]
    return [one.get("stream", one) for one in found]


def line(text: str) -> BuildRecord:
    return BuildRecord(kind="line", text=text)


def hear(narrator: Narrator, *records: BuildRecord) -> list[Any]:
    return told([line for record in records for line in narrator.tell(record)])


def test_a_build_with_a_step() -> None:
    narrator = Narrator(plan((0, "FROM busybox"), (0, "RUN echo hi"), (0, "COPY f /")), BuildWords(tags=("t:1",)))
    assert told(narrator.announce()) == ["Step 1/3 : FROM busybox", "\n"]
    narrator.know({"busybox": f"sha256:{BASE}"})
    assert hear(narrator, line("STEP 1/3: FROM busybox")) == [" ---> 70f7f7033d09\n"]
    assert hear(
        narrator,
        line("STEP 2/3: RUN echo hi"),
        BuildRecord(kind="run", text=RUN, args=("/bin/sh", "-c", "echo hi")),
        BuildRecord(kind="out", text="--> 0123456789ab\nSTEP 3/3: evil\n"),
        BuildRecord(kind="err", text="oops\n"),
        line("--> 111111111111"),
    ) == [
        "Step 2/3 : RUN echo hi", "\n", " ---> Running in abababababab\n", "--> 0123456789ab\nSTEP 3/3: evil\n",
        "\x1b[91moops\n\x1b[0m", " ---> Removed intermediate container abababababab\n", " ---> 111111111111\n",
    ]  # fmt: skip
    assert hear(narrator, line("STEP 3/3: COPY f /"), line("COMMIT"), line("--> 222222222222")) == [
        "Step 3/3 : COPY f /", "\n", " ---> 222222222222\n",
    ]  # fmt: skip
    image = "sha256:" + "2" * 64
    assert told(narrator.done(image)) == [
        {"aux": {"ID": image}}, "Successfully built 222222222222\n", "Successfully tagged t:1\n",
    ]  # fmt: skip


def test_from_the_cache_and_with_labels() -> None:
    narrator = Narrator(plan((0, "FROM busybox"), (0, "ENV A=b"), unused=("Y",)), BuildWords(labels={"x": "y"}))
    narrator.know({"busybox": BASE})
    said = hear(
        narrator,
        line("STEP 1/3: FROM busybox"),
        line("STEP 2/3: ENV A=b"),
        line("--> Using cache " + "3" * 64),
        line("--> 333333333333"),
        line('STEP 3/3: LABEL "x"="y"'),
        line("--> 444444444444"),
    )
    assert said[:7] == [
        "Step 1/3 : FROM busybox", "\n", " ---> 70f7f7033d09\n", "Step 2/3 : ENV A=b", "\n", " ---> Using cache\n",
        " ---> 333333333333\n",
    ]  # fmt: skip
    assert said[7:9] == ["Step 3/3 : LABEL x=y", "\n"]
    assert said[9].startswith(" ---> Running in ") and said[10].startswith(" ---> Removed intermediate container ")
    assert "[Warning] One or more build-args [Y] were not consumed\n" in told(narrator.done(f"sha256:{'4' * 64}"))


def test_each_label_of_the_client_is_a_step() -> None:
    for cached in (False, True):
        narrator = Narrator(plan((0, "FROM busybox")), BuildWords(labels={"b": "2", "a": "1"}))
        narrator.know({"busybox": BASE})
        records = [line("STEP 1/2: FROM busybox"), line('STEP 2/2: LABEL "a"="1" "b"="2"')]
        records += [line("--> Using cache " + "5" * 64)] if cached else []
        said = [one for one in hear(narrator, *records, line("--> 555555555555")) if one != "\n"]
        assert [one for one in said if one.startswith("Step")] == [
            "Step 1/3 : FROM busybox", "Step 2/3 : LABEL a=1", "Step 3/3 : LABEL b=2",
        ]  # fmt: skip
        assert said.count(" ---> Using cache\n") == 2 * cached and said[-1] == " ---> 555555555555\n"


def test_what_a_base_triggers() -> None:
    narrator = Narrator(plan((0, "FROM busybox"), (0, "RUN b")), BuildWords())
    narrator.know({"busybox": BASE}, {"busybox": 2})
    said = hear(
        narrator,
        line("STEP 1/4: FROM busybox"),
        line("STEP 2/4: RUN a"),
        BuildRecord(kind="run", text=RUN, args=("/bin/sh", "-c", "a")),
        line("--> 111111111111"),
        line("STEP 3/4: ENV T=1"),
        line("--> Using cache " + "2" * 64),
        line("--> 222222222222"),
        line("STEP 4/4: RUN b"),
    )
    assert [one for one in said if one != "\n"] == [
        "Step 1/2 : FROM busybox", "# Executing 2 build triggers", " ---> Running in abababababab\n",
        " ---> Removed intermediate container abababababab\n", " ---> Using cache\n", " ---> 222222222222\n",
        "Step 2/2 : RUN b",
    ]  # fmt: skip


def test_a_target_without_content_makes_no_image() -> None:
    empty = Narrator(plan((0, "FROM scratch"), froms=("scratch",)), BuildWords()).makes_nothing()
    assert json.loads(empty[-1])["error"] == "No image was generated. Is your Dockerfile empty?"
    for steps, labels in (([(0, "FROM scratch"), (0, "ENV a=b")], {}), ([(0, "FROM scratch")], {"a": "b"})):
        assert Narrator(plan(*steps, froms=("scratch",)), BuildWords(labels=labels)).makes_nothing() == []


def test_gaps_are_warned_of() -> None:
    narrator = Narrator(plan((0, "FROM busybox")).model_copy(update={"gaps": ("RUN a  b",)}), BuildWords())
    assert told(narrator.announce())[:2] == [
        "\x1b[91m[WARNING]: Empty continuation line found in: RUN a  b\n\x1b[0m",
        "\x1b[91m[WARNING]: Empty continuation lines will become errors in a future release.\n\x1b[0m",
    ]


def test_stages_count_together() -> None:
    steps = (
        (-1, "ARG V=1"),
        (0, "FROM busybox AS a"),
        (0, "COPY f /f"),
        (1, "FROM a"),
        (2, "FROM scratch"),
        (2, "COPY g /"),
    )
    narrator = Narrator(plan(*steps, froms=("busybox", "a", "scratch")), BuildWords())
    narrator.know({"busybox": BASE})
    said = hear(
        narrator,
        line("[1/3] STEP 1/2: FROM busybox AS a"),
        line("[1/3] STEP 2/2: COPY f /f"),
        line("--> 555555555555"),
        line("[2/3] STEP 1/1: FROM a"),
        line("[3/3] STEP 1/2: FROM scratch"),
        line("[3/3] STEP 2/2: COPY g /"),
        line("--> 666666666666"),
    )
    assert [one for one in said if one != "\n"] == [
        "Step 1/6 : ARG V=1", "Step 2/6 : FROM busybox AS a", " ---> 70f7f7033d09\n", "Step 3/6 : COPY f /f",
        " ---> 555555555555\n", "Step 4/6 : FROM a", " ---> 555555555555\n", "Step 5/6 : FROM scratch", " ---> \n",
        "Step 6/6 : COPY g /", " ---> 666666666666\n",
    ]  # fmt: skip


FAILED_RUN = 'Error: building at STEP "RUN exit 3": while running runtime: exit status 3'


@pytest.mark.parametrize(
    ("step", "before", "notes", "error"),
    [
        (
            "RUN exit 3",
            [BuildRecord(kind="run", text=RUN, args=("/bin/sh", "-c", "exit 3"))],
            FAILED_RUN,
            {"code": 3, "message": "The command '/bin/sh -c exit 3' returned a non-zero code: 3"},
        ),
        (
            "RUN x",
            [BuildRecord(kind="refused", text="no such file")],
            "Error: x",
            {"message": "no such file"},
        ),
        (
            'RUN ["sh", "-c", "exit 3"]',
            [BuildRecord(kind="run", text=RUN, args=("/bin/sh", "-c", "exit 3"))],
            FAILED_RUN,
            {"code": 3, "message": "The command 'sh -c exit 3' returned a non-zero code: 3"},
        ),
        ("STOPSIGNAL x", [], "Error: Invalid signal: x", {"message": "invalid signal: x"}),
        (
            "COPY nope /x",
            [],
            'Error: building at STEP "COPY nope /x": checking on sources under "": copier: stat: "/nope": '
            "no such file or directory",
            {
                "message": "COPY failed: file not found in build context or excluded by .dockerignore: "
                "stat nope: file does not exist"
            },
        ),
        (
            "ADD ../../x /",
            [],
            'Error: building at STEP "ADD": possible escaping context directory error: copier: stat: "/x": no',
            {"message": "ADD failed: forbidden path outside the build context: ../../x ()"},
        ),
        ("COPY *.n /", [], "no such file or directory", {"message": "COPY failed: no source files were specified"}),
        ("USER x", [], "one\nError: what it is", {"message": "what it is"}),
        ("USER x", [], "", {"message": "the builder ended with code 1"}),
    ],
)
def test_failures(step: str, before: list[BuildRecord], notes: str, error: dict[str, Any]) -> None:
    narrator = Narrator(plan((0, "FROM busybox"), (0, step)), BuildWords())
    for record in (line("STEP 1/2: FROM busybox"), line(f"STEP 2/2: {step}"), *before):
        narrator.tell(record)
    found = json.loads(narrator.failed(BuildRecord(kind="end", code=1, text=notes)))
    assert found == {"errorDetail": error, "error": error["message"]}


def test_words_that_make_no_sense_are_left_out() -> None:
    narrator = Narrator(plan((0, "FROM busybox")), BuildWords())
    assert hear(narrator, line("[9/9] STEP 1/1: FROM x"), line("STEP 99999/1: x"), line("hello")) != [None]
