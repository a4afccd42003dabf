"""Images: filters of lists, parents and children, names that have moved, disk usage, pulls that are refused."""

from typing import Final

from differ.steps import Case, Request, Step, case, create, delete, get, post

_GONE: Final = Request("DELETE", "/images/{i}?force=1", as_="none")
_UNTAG: Final = Request("DELETE", "/images/moved:1?force=1", as_="none")


def _commit(query: str = "", container: str = "c", keep: str = "i") -> Step:
    return Request("POST", f"/commit?container={{{container}}}{query}", keep={keep: "Id"})


def _named(name: str, filters: str) -> Case:
    return case(f"list {name}", get(f"/images/json?filters={filters}", as_="unordered"))


def _refused(name: str, request: Request) -> Case:
    return case(f"refused: {name}", request)


CASES: Final[tuple[Case, ...]] = (
    _named("until twice", '{"until":["2020-01-01","2030-01-01"]}'),
    _named("until", '{"until":["2024-05-06T07:08:10"]}'),
    _named("of a label", '{"label":["tier"]}'),
    _named("of two labels", '{"label":["tier=image","nope"]}'),
    _named("that dangle", '{"dangling":["true"],"label":["tier"]}'),
    _named("that do not dangle", '{"dangling":["false"],"label":["tier"]}'),
    _named("before an image", '{"before":["dressed:1"]}'),
    _named("before one that is not there", '{"before":["dressed:1","nope"]}'),
    _named("since one that is not there", '{"since":["nope"]}'),
    _named("by a pattern", '{"reference":["d*"]}'),
    _named("by a bad pattern", '{"reference":["["]}'),
    _named("by an unknown key", '{"nope":["x"]}'),
    case(
        "a child of an image",
        create("true"),
        _commit("&repo=child&tag=1"),
        get("/images/{i}/history", at="1.CreatedBy"),
        get("/images/{i}/history", at="1.Tags"),
        delete("/images/busybox?noprune=1&force=0"),
        post("/images/child:1/tag?repo=kin&tag=2"),
        delete("/containers/{c}"),
        create("true", Image="child:1", keep="d"),
        get('/containers/json?all=1&filters={"ancestor":["busybox"]}', at="0.Image"),
        delete("/containers/{d}"),
        Request("DELETE", "/images/kin:2", as_="none"),
        _GONE,
    ),
    case(
        "a name that has moved",
        post("/images/busybox/tag?repo=moved&tag=1"),
        create("true", Image="moved:1"),
        get("/containers/json?all=1", at="0.Image"),
        post("/images/dressed:1/tag?repo=moved&tag=1"),
        get("/containers/json?all=1", at="0.Image"),
        get("/containers/{c}/json", at="Config.Image"),
        _UNTAG,
        get("/containers/json?all=1", at="0.Image"),
        delete("/containers/{c}"),
    ),
    case("disk usage", create("true"), get("/system/df", at="LayersSize"), get("/system/df?type=volume", at="Images")),
    case("disk usage of nothing known", get("/system/df?type=foo")),
    case("an archive of nothing", get("/images/get", as_="none")),
    _refused("a pull for no platform", post("/images/create?fromImage=busybox&tag=1&platform=foo")),
    _refused("a pull for too long a platform", post("/images/create?fromImage=busybox&tag=1&platform=a/b/c/d")),
    _refused("a pull from nowhere", post("/images/create?fromImage=127.0.0.1:1/x&tag=1")),
    _refused("an import for no platform", post("/images/create?fromSrc=-&platform=foo")),
    _refused("an import for another system", post("/images/create?fromSrc=-&platform=macos")),
)
