"""Dockerfiles and contexts that mean harm: known forms, and more drawn by hypothesis."""

import io
import tarfile
from dataclasses import dataclass

from hypothesis import strategies as st

SECRET = "/etc/seaway-secret"
"""A file of the node that no build may read; tests write it."""


@dataclass(frozen=True)
class Member:
    """One entry of a context."""

    name: str
    kind: bytes = tarfile.REGTYPE
    link: str = ""
    data: bytes = b""


def context(*members: Member) -> bytes:
    """Them as a tar."""
    data = io.BytesIO()
    with tarfile.open(fileobj=data, mode="w", format=tarfile.PAX_FORMAT) as archive:
        for member in members:
            info = tarfile.TarInfo(member.name)
            info.type, info.linkname, info.size = member.kind, member.link, len(member.data)
            info.devmajor, info.devminor = 1, 3
            archive.addfile(info, io.BytesIO(member.data))
    return data.getvalue()


def of_dockerfile(text: str) -> bytes:
    """A context of a Dockerfile alone."""
    return context(Member("Dockerfile", data=text.encode()))


_SOURCES = (
    f"dir:{SECRET}", "dir:/etc", "oci:/etc", "oci-archive:/etc/passwd", "docker-archive:/etc/passwd",
    "tarball:/etc/passwd",
    "containers-storage:busybox", "docker-daemon:busybox:latest", "ostree:x@/", "sif:/etc/passwd", "docker://localhost/x",
    "../../etc", "/etc", "file:///etc", "atomic:x",
)  # fmt: skip
_NOT_BUILT = (
    *(f"FROM {source}\nRUN true\n" for source in _SOURCES),
    *(f"FROM busybox\nCOPY --from={source} / /x\n" for source in _SOURCES),
    *(f"FROM busybox\nRUN --mount=type=bind,from={source},target=/x ls /x\n" for source in _SOURCES[:6]),
    "FROM busybox\nRUN --network=host ip addr\n",
    "FROM busybox\nRUN --security=insecure id\n",
    "FROM busybox\nCOPY ../../../../../../etc/seaway-secret /x\n",
    f"FROM busybox\nCOPY {SECRET} /x\n",
    f"FROM busybox\nADD {SECRET} /x\n",
    f"FROM busybox\nADD file://{SECRET} /x\n",
    "FROM busybox\nRUN --mount=type=bind,source=../../../../../../../etc,target=/x cat /x/seaway-secret\n",
    "FROM busybox\nRUN --mount=type=secret,id=x,required=true cat /run/secrets/x\n",
    "FROM busybox\nRUN --mount=type=ssh,required=true true\n",
    "FROM a AS a\nFROM b AS b\nCOPY --from=b / /\n",
    "FROM busybox AS a\nCOPY --from=a / /\n",
    "FROM busybox\nCOPY --from=7 / /\n",
    "FROM busybox\nRUN " + "a" * (1 << 20) + "\n",
    "FROM busybox\n" + "RUN true\n" * 10_001,
    "FROM busybox\n" * 501,
    "ARG A=aaaaaaaa\n" + "ARG A=$A$A$A$A\n" * 40 + "FROM $A\n",
    "FROM " + "${A:-" * 100 + "x" + "}" * 100 + "\n",
    "FROM busybox\nRUN <<E\n" + "x\n" * 1000,
    "FROM busybox\nRUN cat" + " <<A" * 3000 + "\n",
    "\0\0\0\0FROM busybox",
    "FROM bus\0ybox\n",
    "# escape=\\\\\nFROM x\n",
)
NOT_BUILT = dict(enumerate(_NOT_BUILT))
"""Dockerfiles that end in an error, by number."""

_LINKS = ("/etc", "../../../../../../../etc", "/proc/self/root/etc", "/proc/1/root/etc", "a/../../../../../../etc")
LEADING_OUT = {
    **{
        f"a link to {link}": context(
            Member("Dockerfile", data=b"FROM busybox\nCOPY out /x\nRUN cat /x/seaway-secret /x\n"),
            Member("out", tarfile.SYMTYPE, link),
        )
        for link in _LINKS
    },
    "a file below a link": context(
        Member("out", tarfile.SYMTYPE, "/etc"),
        Member("out/seaway-written", data=b"evil"),
        Member("Dockerfile", data=b"FROM busybox\nCOPY out /x\nRUN cat /x/seaway-secret\n"),
    ),
    "a Dockerfile that is a link": context(Member("Dockerfile", tarfile.SYMTYPE, SECRET)),
    "a .dockerignore that is a link": context(
        Member("Dockerfile", data=b"FROM scratch\nCOPY . /\n"), Member(".dockerignore", tarfile.SYMTYPE, SECRET)
    ),
    "a hard link out": context(
        Member("h", tarfile.LNKTYPE, SECRET),
        Member("Dockerfile", data=b"FROM busybox\nRUN --mount=type=bind,target=/c cat /c/h\n")
    ),
    "names above": context(
        Member("../../../../../etc/seaway-written", data=b"evil"),
        Member("Dockerfile", data=b"FROM busybox\nRUN true\n")
    ),
    "absolute names": context(
        Member("/etc/seaway-written", data=b"evil"), Member("Dockerfile", data=b"FROM busybox\nRUN true\n")
    ),
    "devices": context(
        Member("null", tarfile.CHRTYPE), Member("disk", tarfile.BLKTYPE),
        Member("Dockerfile", data=b"FROM busybox\nCOPY . /x\nRUN test ! -e /x/disk\n"),
    ),
    "a mount through a link": context(
        Member("out", tarfile.SYMTYPE, "/etc"),
        Member("Dockerfile", data=b"FROM busybox\nRUN --mount=type=bind,source=out,target=/x cat /x/seaway-secret\n"),
    ),
    "a cache below a link": context(
        Member(
            "Dockerfile",
            data=b"FROM busybox\nRUN --mount=type=cache,id=h,target=/c ln -sfn /etc /c/l\n"
            b"RUN --mount=type=cache,id=h,target=/c,source=l cat /c/seaway-secret\n",
        ),
    ),
}  # fmt: skip
"""Contexts that lead out of themselves, by what they try. Built or not: nothing outside is read or written."""

_WORDS = st.sampled_from(
    [
        "FROM", "RUN", "COPY", "ADD", "ARG", "ENV", "ONBUILD", "LABEL", "HEALTHCHECK", "SHELL", "AS", "busybox",
        "scratch",
        "--from=", "--mount=type=bind,from=", "--network=", "--platform=", "$A", "${A:-", "}", "=", '"', "'", "\\",
        "\\\n",
        "<<E", "<<-'E'", "E", "\n", " ", "\t", "#", "# escape=`", "`", "[", "]", ",", "0", "..",
        "/", "é", "\r", *_SOURCES[:4],
    ]
)  # fmt: skip
DOCKERFILES = st.lists(_WORDS, max_size=120).map("".join)
"""Texts that come near to Dockerfiles."""

_NAMES = st.lists(st.sampled_from(["..", ".", "a", "b", "", "x" * 300, "Dockerfile"]), min_size=1, max_size=5).map(
    "/".join
)
_KINDS = st.sampled_from(
    [tarfile.REGTYPE, tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.DIRTYPE, tarfile.CHRTYPE, tarfile.FIFOTYPE]
)
CONTEXTS = st.lists(
    st.builds(Member, name=_NAMES, kind=_KINDS, link=st.one_of(st.sampled_from(_LINKS), _NAMES)), max_size=12
)
"""Members of contexts."""
