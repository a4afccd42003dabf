"""What is said of wrong JSON, tags, names and values; each row was a difference once."""

from typing import Final

from differ.steps import Case, case, create, delete, get, post, start

_BROKEN: Final = (b"{", b'{"a" 1}', b"{a:1}", b"[1 2]", b'{"a":tru}', b'{"a":"x', b'{"a":01}', b"xx", b'{"a":"\\x"}')
_JSON: Final = {"Content-Type": "application/json"}

CASES: Final[tuple[Case, ...]] = (
    *(
        case(f"broken JSON of {path}", *(post(path, body, headers=_JSON) for body in _BROKEN), events="none")
        for path in ("/containers/create", "/volumes/create", "/networks/create", "/networks/x/connect", "/commit")
    ),
    case(
        "broken JSON of an exec",
        post("/exec/x/start", b"{", headers=_JSON),
        post("/containers/x/exec", b"{", headers=_JSON),
    ),
    case("an exec without a body", post("/exec/x/start")),
    case("commit of nothing", post("/commit"), post("/commit", {}), post("/commit?container=x", {})),
    case(
        "a wrong tag",
        post("/images/busybox/tag?repo=x&tag=a:b"),
        post("/commit?container=x&repo=a&tag=b:c", {}),
        post("/images/create?fromImage=a&tag=b:c"),
        post("/images/create?fromSrc=-&repo=a&tag=b:c"),
        events="none",
    ),
    case("a tag with a digest", post(f"/images/busybox/tag?repo=x@sha256:{'0' * 64}"), events="none"),
    case("a blank name", delete("/images/%20"), events="none"),
    case("save of names with commas", *(get(f"/images/get?names={names}") for names in ("nope,busybox", "nope,", ","))),
    case("save of nothing", get("/images/nope/get"), get("/images/get?names=nope"), get("/images/get?names=nope:1")),
    case(
        "an address that is none",
        *(post("/auth", {"serveraddress": text}) for text in ("http://::nope", "a b", "%zz", "http://[::1", "[::1]x")),
    ),
    case("a log driver that is not there", create(host={"LogConfig": {"Type": "nosuch"}})),
    case(
        "platforms",
        *(
            post(f"/containers/create?platform={platform}", {"Image": "busybox"})
            for platform in ("foo", "linux/foo", "a/b/c/d", "a/b/c/d/e", "linux/", "windows", "linux/arm64")
        ),
        events="none",
    ),
    case(
        "arguments of ps",
        create(),
        start(),
        *(get(f"/containers/{{c}}/top?ps_args={words}") for words in ("--nonsense", "-z", "-o", "-opid,nope", "-V")),
    ),
)
