"""POST /images/{name}/push against a registry of the engine's own, and the pull of what was pushed."""

from typing import Final

from differ.registries import NOBODY, REGISTRY, SEARCH
from differ.steps import Case, Request, Step, case, get, post

_AUTH: Final = {"X-Registry-Auth": "e30="}


def _tag(source: str, name: str) -> Step:
    repository, _, tag = name.rpartition(":")
    return post(f"/images/{source}/tag?repo={repository}&tag={tag}")


def _push(name: str, query: str = "") -> Step:
    return post(f"/images/{name}/push{query}", headers=_AUTH, as_="progress")


def _pull(query: str) -> Step:
    return post(f"/images/create?{query}", as_="progress")


def _untag(*names: str) -> tuple[Step, ...]:
    return tuple(Request("DELETE", f"/images/{name}", as_="none") for name in names)


def _refused(name: str, pushed: str, query: str = "") -> Case:
    """A push that fails, of an image that has the name `some/thing:1` there."""
    kept = f"{REGISTRY}/some/thing:1"
    return case(name, _tag("busybox", kept), _push(pushed, query), *_untag(kept))


_ONE: Final = f"{REGISTRY}/one/thing"
_TWO: Final = f"{REGISTRY}/two/things"
_MANY: Final = f"{REGISTRY}/many/things"
_GONE: Final = f"{REGISTRY}/gone/things"

CASES: Final[tuple[Case, ...]] = (
    case(
        "once, and again",
        _tag("busybox", f"{_ONE}:1"),
        _push(_ONE, "?tag=1"),
        _push(_ONE, "?tag=1"),
        _push(f"{_ONE}:1"),
        *_untag(f"{_ONE}:1"),
    ),
    case(
        "from a repository beside",
        _tag("dressed:1", f"{_TWO}:1"),
        _push(_TWO, "?tag=1"),
        _tag("dressed:1", f"{_TWO}/beside:1"),
        _push(f"{_TWO}/beside", "?tag=1"),
        *_untag(f"{_TWO}:1", f"{_TWO}/beside:1"),
    ),
    case(
        "all tags, and all of them pulled",
        _tag("dressed:1", f"{_MANY}:1"),
        _tag("dressed:1", f"{_MANY}:2"),
        _push(_MANY),
        _pull(f"fromImage={_MANY}"),
        *_untag(f"{_MANY}:1", f"{_MANY}:2"),
    ),
    case(
        "names afterwards",
        _tag("busybox", f"{_GONE}:1"),
        _push(f"{_GONE}:1"),
        get(f"/images/{_GONE}:1/json", at="RepoTags"),
        *_untag(f"{_GONE}:1"),
        get("/images/busybox/json", at="RepoDigests"),
    ),
    case(
        "pulled again",
        _tag("marker:1", f"{_GONE}:2"),
        _push(f"{_GONE}:2"),
        _pull(f"fromImage={_GONE}&tag=2"),
        _pull(f"fromImage={_GONE}&tag=nope"),
        _pull(f"fromImage={REGISTRY}/never/there&tag=1"),
        _pull(f"fromImage={REGISTRY}/never/there"),
        *_untag(f"{_GONE}:2"),
    ),
    _refused("no such tag", f"{REGISTRY}/some/thing", "?tag=2"),
    _refused("the tag of the query counts", f"{REGISTRY}/some/thing:1", "?tag=2"),
    _refused("no such repository", f"{REGISTRY}/some/other", "?tag=1"),
    _refused("no such repository, all tags", f"{REGISTRY}/some/other"),
    _refused("a digest", f"{REGISTRY}/some/thing@sha256:{'0' * 64}"),
    _refused("a digest as tag", f"{REGISTRY}/some/thing", f"?tag=sha256:{'0' * 64}"),
    _refused("a bad tag", f"{REGISTRY}/some/thing", "?tag=a:b"),
    _refused("upper case", f"{REGISTRY}/SOME/thing", "?tag=1"),
    _refused("an id", "0" * 64, "?tag=1"),
    _refused("a platform is for later versions", f"{REGISTRY}/some/thing", "?tag=2&platform=foo"),
    case("to nobody", _tag("busybox", f"{NOBODY}/thing:1"), _push(f"{NOBODY}/thing:1"), *_untag(f"{NOBODY}/thing:1")),
    case("without credentials", post(f"/images/{_ONE}/push?tag=1")),
    case("with credentials in the body", post(f"/images/{_ONE}/push?tag=nope", {"username": "a"}, as_="progress")),
    case(
        "with bad credentials", post(f"/images/{_ONE}/push?tag=nope", headers={"X-Registry-Auth": "!"}, as_="progress")
    ),
    case("pulls from nobody", _pull(f"fromImage={NOBODY}/x&tag=1"), _pull(f"fromImage={NOBODY}/x"), events="none"),
    case("what a registry denies", _pull(f"fromImage={SEARCH}/x&tag=1"), _pull(f"fromImage={SEARCH}/x"), events="none"),
)
