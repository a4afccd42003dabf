"""What instructions must look like: Docker's sentences."""

import pytest

from seaway_docker.dockerfile_grammar import exec_form, suggestion
from seaway_docker.dockerfile_stages import outline
from seaway_docker.errors import InvalidParameter

_LINE = "dockerfile parse error on line 2: "


@pytest.mark.parametrize(
    ("instruction", "sentence"),
    [
        ("WORKDIR", f"{_LINE}WORKDIR requires exactly one argument"),
        ("LABEL", f"{_LINE}LABEL requires at least one argument"),
        ("ENV a", "failed to parse Dockerfile: ENV must have two arguments"),
        (
            "ENV a=b c",
            'failed to parse Dockerfile: Syntax error - can\'t find = in "c". Must be of the form: name=value',
        ),
        ("LABEL =b", f"{_LINE}LABEL names can not be blank"),
        (
            "COPY a",
            f"{_LINE}COPY requires at least two arguments, but only one was provided. "
            "Destination could not be determined",
        ),
        ("SHELL x", f"{_LINE}SHELL requires the arguments to be in JSON form"),
        ("HEALTHCHECK x", f'{_LINE}Unknown type "X" in HEALTHCHECK (try CMD)'),
        ("HEALTHCHECK CMD", f"{_LINE}Missing command after HEALTHCHECK CMD"),
        ("HEALTHCHECK NONE x", f"{_LINE}HEALTHCHECK NONE takes no arguments"),
        ("ONBUILD ONBUILD RUN x", f"{_LINE}Chaining ONBUILD via `ONBUILD ONBUILD` isn't allowed"),
        ("ONBUILD FROM x", f"{_LINE}FROM isn't allowed as an ONBUILD trigger"),
        ("RUN --nope=1 x", f"{_LINE}unknown flag: nope"),
        ("CMD --nope x", f"{_LINE}unknown flag: nope"),
        ("COPY --chown a b", f"{_LINE}missing a value on flag: chown"),
        ("COPY --chown=1 --chown=2 a b", f"{_LINE}duplicate flag specified: chown"),
        ("RUNN x", f"{_LINE}unknown instruction: RUNN (did you mean RUN?)"),
        ("XYZZY x", f"{_LINE}unknown instruction: XYZZY"),
    ],
)
def test_refusals(instruction: str, sentence: str) -> None:
    with pytest.raises(InvalidParameter) as refused:
        outline(f"FROM x\n{instruction}\n", {})
    assert str(refused.value) == sentence


@pytest.mark.parametrize(
    "instruction",
    [
        "ENV a b c", 'ENV a="b c" d=e', "LABEL a=", 'COPY ["a b", "c"]', "COPY <<E /f\nx\nE",
        "ADD --checksum=sha256:0 a b",
        "COPY --link --chown=1 a b", "RUN --mount=type=cache,target=/a --mount=type=tmpfs,target=/b x",
        "HEALTHCHECK NONE",
        "HEALTHCHECK --interval=1s --retries=3 CMD x", "ONBUILD COPY a b", 'SHELL ["sh"]', "RUN -- --x", "WORKDIR a b",
        "VOLUME /a /b", "EXPOSE 1-2/tcp $P 127.0.0.1:80:80", "CMD", "ENTRYPOINT []",
    ],
)  # fmt: skip
def test_what_is_taken(instruction: str) -> None:
    assert outline(f"FROM x\n{instruction}\n", {}).refused == ""


@pytest.mark.parametrize("port", ["x", "1-", "70000", "-1"])
def test_a_port_that_is_none_is_refused_when_its_step_comes(port: str) -> None:
    assert outline(f"FROM x\nEXPOSE {port}\n", {}).refused == f"Invalid containerPort: {port}"


def test_exec_forms() -> None:
    assert exec_form('["a", "b"]') == ["a", "b"]
    assert exec_form("a b") is exec_form("[a]") is exec_form("[1]") is None


def test_suggestions_are_near() -> None:
    assert suggestion("frm", ["from", "arg"]) == "from"
    assert suggestion("x" * 100, ["from"]) == suggestion("abcdef", ["from"]) == ""
