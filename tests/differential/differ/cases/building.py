"""POST /build by the classic builder: all that its lines say, but for ids."""

import io
import json
import tarfile
from typing import Final
from urllib.parse import urlencode

from differ.steps import Case, Step, case, post

_TAR: Final = {"Content-Type": "application/x-tar"}


def _context(**files: str) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for name, text in files.items():
            entry = tarfile.TarInfo(name)
            data = text.encode()
            entry.size, entry.mtime = len(data), 1_700_000_000
            archive.addfile(entry, io.BytesIO(data))
    return buffer.getvalue()


def _build(text: str, files: dict[str, str] | None = None, **query: str) -> Step:
    return post(
        f"/build?{urlencode({'nocache': '1'} | query)}",
        _context(Dockerfile=text, **(files or {})),
        headers=_TAR,
        as_="build",
    )


def _built(name: str, *steps: Step) -> Case:
    """dockerd tells of a container for each step; here a build is one thing."""
    return case(name, *steps, events="none")


_OUT: Final = "FROM busybox\nRUN echo out\nRUN echo err >&2\n"
_COPY: Final = "FROM busybox\nCOPY f /f\nENV A=b\n"
_ARGS: Final = "FROM busybox\nARG A=1\nRUN echo $A\n"

CASES: Final[tuple[Case, ...]] = (
    _built("a step's output", _build(_OUT, t="line:1"), _build(_OUT, t="line:1", nocache="0")),
    _built("without a newline, and in bytes", _build("FROM busybox\nRUN printf 'a\\tb \\033[1m\\377 ü \"<&>'\n")),
    _built("copied", _build(_COPY, {"f": "x"}, t="line:2"), _build(_COPY, {"f": "x"}, t="line:2", nocache="0")),
    _built("a step fails", _build("FROM busybox\nRUN echo before; exit 3\n")),
    _built("a program is not there", _build('FROM busybox\nRUN ["nope", "x"]\n')),
    _built("a signal", _build("FROM busybox\nRUN kill -9 $$\n")),
    _built("a file is missing", _build("FROM busybox\nCOPY nope /\n")),
    _built("above the context", _build("FROM busybox\nCOPY ../x /\n")),
    _built("quiet", _build(_OUT, q="1", t="line:3"), _build("FROM busybox\nRUN exit 3\n", q="1")),
    _built("labels and tags", _build("FROM busybox\n", labels=json.dumps({"b": "2", "a": "1"}), t="line:4")),
    _built("unused arguments", _build(_ARGS, buildargs=json.dumps({"A": "2", "Z": "3", "Y": "4"}))),
    _built("gaps", _build("FROM busybox\nRUN echo a \\\n\n  b\n")),
    _built("containers stay", _build("FROM busybox\nRUN true\n", rm="0")),
    _built("an unknown instruction", _build("FROM busybox\nNOPE x\n")),
    _built("no Dockerfile", _build("FROM busybox\n", dockerfile="other")),
    _built("an empty one", _build("")),
    _built("no stage", _build("RUN true\n")),
    _built("no such target", _build("FROM busybox\n", target="nope")),
    _built("no such base", _build("FROM Nope\n"), _build("FROM busybox:b:c\n"), _build("FROM $NOPE\n")),
    _built("no base", _build("FROM scratch\n"), _build("FROM scratch\nCOPY f /f\n", {"f": "x"})),
    _built("no tar", post("/build", b"nonsense", headers=_TAR, as_="build")),
    _built("nothing", post("/build", b"", headers=_TAR, as_="build")),
    _built("bad tags", _build("FROM busybox\n", t="A"), _build("FROM busybox\n", t=f"a@sha256:{'0' * 64}")),
    _built(
        "bad parameters",
        _build("FROM busybox\n", buildargs="x"),
        _build("FROM busybox\n", labels="[]"),
        _build("FROM busybox\n", cachefrom="{}"),
        _build("FROM busybox\n", ulimits="x"),
        _build("FROM busybox\n", isolation="hyperv"),
        _build("FROM busybox\n", securityopt="a"),
        _build("FROM busybox\n", shmsize="x"),
    ),
    _built("cancelled", post("/build/cancel"), post("/build/cancel?id=nope")),
)
