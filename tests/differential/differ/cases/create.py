"""Bad and odd bodies of POST /containers/create: the request itself, the image, Config."""

from typing import Final

from differ.steps import Case, Request, bodies, case, create, inspect, post


def _raw(body: object, query: str = "", **headers: str) -> Request:
    return post(
        f"/containers/create{query}",
        body,
        keep={"c": "Id"},
        headers={name.replace("_", "-"): v for name, v in headers.items()},
    )


CASES: Final[tuple[Case, ...]] = (
    # the request itself
    case("no body", _raw(b"", Content_Type="application/json")),
    case("null", _raw(b"null", Content_Type="application/json")),
    case("an empty object", _raw({})),
    case("broken JSON", _raw(b"{", Content_Type="application/json")),
    case("a list", _raw(b"[1]", Content_Type="application/json")),
    case("a text", _raw(b'"text"', Content_Type="application/json")),
    case("more after the end", _raw(b'{"Image": "busybox"}{"more": 1}', Content_Type="application/json")),
    case("a form", _raw(b"Image=busybox", Content_Type="application/x-www-form-urlencoded")),
    case("plain text", _raw(b'{"Image": "busybox"}', Content_Type="text/plain")),
    case("no content type", _raw(b'{"Image": "busybox"}')),
    case("a charset", _raw(b'{"Image": "busybox"}', Content_Type="application/json; charset=utf-8")),
    case("unknown fields", _raw({"Image": "busybox", "Nonsense": 1, "HostConfig": {"Nonsense": 2}})),
    case("keys in lower case", _raw({"image": "busybox", "cmd": ["true"]})),
    # image and names
    case("no image", _raw({"Cmd": ["true"]})),
    case("an unknown image", _raw({"Image": "nothing:here"})),
    case("a bad image name", _raw({"Image": "UPPER/case:x"})),
    case("an unknown image id", _raw({"Image": "sha256:" + "0" * 64})),
    case("no command anywhere", _raw({"Image": "marker:1"})),
    case("a name of one character", _raw({"Image": "busybox"}, "?name=a")),
    case("a name with a space", _raw({"Image": "busybox"}, "?name=a%20b")),
    case("a name with a slash", _raw({"Image": "busybox"}, "?name=a/b")),
    case("a name with a slash before", create(name="/slashed"), inspect()),
    case("a name that begins with a dash", _raw({"Image": "busybox"}, "?name=-ab")),
    case("a name that is taken", create(name="taken"), create(name="taken", keep="d")),
    case("an unknown platform", _raw({"Image": "busybox"}, "?platform=linux/s390x")),
    case("a bad platform", _raw({"Image": "busybox"}, "?platform=a/b/c/d/e")),
    # wrong types
    *bodies(
        "wrong type in Config",
        {"Image": 5},
        {"Cmd": {"a": 1}},
        {"Cmd": 5},
        {"Env": "A=b"},
        {"Env": [5]},
        {"Labels": ["a"]},
        {"Labels": {"a": 5}},
        {"Tty": "yes"},
        {"User": 5},
        {"ExposedPorts": ["80/tcp"]},
        {"Volumes": ["/data"]},
        {"StopTimeout": "1"},
        {"StopTimeout": 1.5},
        {"Hostname": 1},
        {"HostConfig": 5},
        {"NetworkingConfig": []},
        {"Healthcheck": "true"},
        {"Healthcheck": {"Test": "true"}},
        {"Entrypoint": 1},
    ),
    # null is nothing
    *bodies(
        "null",
        {
            "Cmd": None,
            "Env": None,
            "Labels": None,
            "HostConfig": {"Binds": None, "PortBindings": None, "Mounts": None, "Dns": None},
        },
    ),
    # Config
    *bodies(
        "StopSignal",
        {"StopSignal": "SIGNOTHING"},
        {"StopSignal": "99"},
        {"StopSignal": "term"},
        {"StopSignal": "15"},
        {"StopSignal": "RTMIN+3"},
    ),
    *bodies("StopTimeout", {"StopTimeout": -5}, {"StopTimeout": 0}),
    *bodies("Env", {"Env": ["=x"]}, {"Env": [""]}, {"Env": ["NOVALUE"]}, {"Env": ["A=1", "A=2"]}),
    *bodies("WorkingDir", {"WorkingDir": "relative"}, {"WorkingDir": "/../../etc"}, {"WorkingDir": "C:\\"}),
    *bodies(
        "Hostname",
        {"Hostname": "under_score"},
        {"Hostname": "a" * 64},
        {"Hostname": "-dash"},
        {"Hostname": "a.b.c"},
        {"Domainname": "d" * 80},
    ),
    *bodies(
        "ExposedPorts",
        {"ExposedPorts": {"80/xyz": {}}},
        {"ExposedPorts": {"99999/tcp": {}}},
        {"ExposedPorts": {"http": {}}},
        {"ExposedPorts": {"80": {}}},
        {"ExposedPorts": {"80-82/udp": {}}},
        {"ExposedPorts": {"": {}}},
    ),
    *bodies(
        "Volumes",
        {"Volumes": {"relative": {}}},
        {"Volumes": {"/": {}}},
        {"Volumes": {"": {}}},
        {"Volumes": {"/a:/b": {}}},
        {"Volumes": {"/a:ro": {}}},
    ),
    *bodies("MacAddress", {"MacAddress": "zz:zz"}, {"MacAddress": "02:42:ac:11:00:99"}),
    *bodies(
        "Healthcheck",
        {"Healthcheck": {"Test": ["CMD", "true"], "Interval": -1}},
        {"Healthcheck": {"Test": ["CMD", "true"], "Interval": 1}},
        {"Healthcheck": {"Test": ["CMD", "true"], "Timeout": 1}},
        {"Healthcheck": {"Test": ["CMD", "true"], "Retries": -1}},
        {"Healthcheck": {"Test": ["CMD", "true"], "StartPeriod": -1}},
        {"Healthcheck": {"Test": ["CMD", "true"], "StartPeriod": 5}},
        {"Healthcheck": {"Test": ["CMD", "true"], "StartInterval": 5}},
        {"Healthcheck": {"Test": ["NONSENSE", "true"]}},
        {"Healthcheck": {"Test": ["NONE"]}},
        {"Healthcheck": {"Test": []}},
        {"Healthcheck": {}},
    ),
    *bodies(
        "Entrypoint",
        {"Entrypoint": []},
        {"Entrypoint": [""]},
        {"Entrypoint": ["echo"], "Cmd": []},
        {"Cmd": []},
        {"Cmd": [""]},
        {"Cmd": "true", "Entrypoint": "sh"},
    ),
)
