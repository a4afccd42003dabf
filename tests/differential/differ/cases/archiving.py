"""GET, HEAD and PUT archive, export, changes, commit."""

import io
import tarfile
from typing import Final

from differ.steps import Case, Request, Step, case, create, get, post, start, until

_MAKE: Final = (
    "mkdir -p /d/sub; echo one > /d/one; echo two > /d/sub/two; ln -s one /d/link; ln -s /etc/passwd /d/abs; "
    "chmod 600 /d/one; chown app /d/sub; rm /etc/data; echo x >> /etc/group; mkfifo /d/fifo; "
    "ln -s sub /d/way; ln -s /../../tmp /d/out"
)


def _tar(**files: str) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for name, text in files.items():
            entry = tarfile.TarInfo(name)
            entry.size, entry.mtime, entry.uid, entry.mode = len(text), 1_700_000_000, 1000, 0o640
            archive.addfile(entry, io.BytesIO(text.encode()))
    return buffer.getvalue()


_KIND: Final = {"Content-Type": "application/x-tar"}


def _put(query: str, data: bytes) -> Step:
    return Request("PUT", f"/containers/{{c}}/archive?{query}", data, headers=_KIND)


def _head(path: str) -> Step:
    return Request("HEAD", f"/containers/{{c}}/archive?path={path}")


def _get(path: str) -> Step:
    return get(f"/containers/{{c}}/archive?path={path}", as_="tar")


_MADE: Final = (create("sh", "-c", _MAKE), start(), until("exited"))
_MOUNTED: Final = (
    create(
        "sh",
        "-c",
        "echo volume > /data/file; echo bind > /in/file; touch /beside",
        Volumes={"/data": {}},
        host={"Binds": ["{engine}/bound:/in", "{engine}/bound:/ro:ro"]},
    ),
    start(),
    until("exited"),
)

CASES: Final[tuple[Case, ...]] = (
    case(
        "stat",
        *_MADE,
        _head("/d/one"),
        _head("/d"),
        _head("/d/link"),
        _head("/d/abs"),
        _head("/d/fifo"),
        _head("/d/"),
        _head("d/one"),
    ),
    case("stat of what is missing", *_MADE, _head("/d/none"), _head("/d/one/"), _head("")),
    case("a file", *_MADE, _get("/d/one")),
    case("a directory", *_MADE, _get("/d")),
    case("a directory's contents", *_MADE, _get("/d/.")),
    case("a link", *_MADE, _get("/d/link"), _get("/d/abs")),
    case("missing", *_MADE, _get("/none"), _get("/d/one/none"), get("/containers/{c}/archive")),
    case("up and out", *_MADE, _get("/../../etc/passwd"), _get("../../../etc/passwd")),
    case(
        "of a running one",
        create("sh", "-c", "echo a > /f; sleep 60"),
        start(),
        get("/containers/{c}/json", as_="none"),
        _get("/etc/passwd"),
    ),
    case("of a created one", create(), _get("/etc/passwd")),
    case("of nothing", get("/containers/nothing/archive?path=/x")),
    case("put a file", *_MADE, _put("path=/d", _tar(new="text")), _get("/d/new")),
    case("put over a file", *_MADE, _put("path=/d", _tar(one="text")), _get("/d/one")),
    case("put into what is missing", *_MADE, _put("path=/none", _tar(new="text"))),
    case("put into a file", *_MADE, _put("path=/d/one", _tar(new="text"))),
    case("put without a path", *_MADE, _put("", _tar(new="text"))),
    case("put nonsense", *_MADE, _put("path=/d", b"nonsense")),
    case("put a file over a directory", *_MADE, _put("path=/d&noOverwriteDirNonDir=1", _tar(sub="text"))),
    case("put out of it", *_MADE, _put("path=/d", _tar(**{"../../../outside": "text"})), _get("/outside")),
    case("put and keep the owner", *_MADE, _put("path=/d&copyUIDGID=1", _tar(new="text")), _get("/d/new")),
    case("put through a link", *_MADE, _put("path=/d/way", _tar(new="text")), _get("/d/sub/new")),
    case("put through a link to the outside", *_MADE, _put("path=/d/out", _tar(new="text")), _get("/tmp/new")),
    case("put over a link", *_MADE, _put("path=/d", _tar(link="text")), _get("/d/one"), _get("/d/link")),
    case("a file in a volume", *_MOUNTED, _get("/data/file"), _get("/data")),
    case("a file in a bind", *_MOUNTED, _get("/in/file"), _head("/in/file")),
    case("put into a volume", *_MOUNTED, _put("path=/data", _tar(new="text")), _get("/data/new")),
    case("put into a bind", *_MOUNTED, _put("path=/in", _tar(new="text")), _get("/in/new")),
    case("put into a read-only bind", *_MOUNTED, _put("path=/ro", _tar(new="text"))),
    case("put into a read-only one", create(host={"ReadonlyRootfs": True}), _put("path=/tmp", _tar(new="text"))),
    case("put into a created one", create(), _put("path=/tmp", _tar(new="text")), _get("/tmp/new")),
    case("put into nothing", Request("PUT", "/containers/nothing/archive?path=/", _tar(a="b"), headers=_KIND)),
    case("changes", *_MADE, get("/containers/{c}/changes", as_="unordered")),
    case("changes of a created one", create(), get("/containers/{c}/changes")),
    case("changes of nothing", get("/containers/nothing/changes")),
    case("export", *_MADE, get("/containers/{c}/export", as_="tar")),
    case("export with mounts", *_MOUNTED, get("/containers/{c}/export", as_="tar")),
    case("export of nothing", get("/containers/nothing/export")),
    case("commit of nothing", post("/commit?container=nothing", {})),
    case("commit to a bad name", create(), post("/commit?container={c}&repo=UPPER", {})),
)
