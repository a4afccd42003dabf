"""Volumes: create, list, inspect, remove, prune, and those of containers."""

import json
from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import quote

from differ.steps import Case, Request, Step, case, create, delete, get, post, start, until

_TMPFS: Final = {"type": "tmpfs", "device": "tmpfs"}


def _volume(name: str = "vol1", **more: Any) -> Request:
    return post("/volumes/create", {"Name": name} | more)


def _made(name: str, *given: Mapping[str, Any]) -> tuple[Case, ...]:
    """One scenario per create body, with the inspection of what it has made."""
    return tuple(
        case(f"{name} {number}", post("/volumes/create", {"Name": "vol1"} | dict(body)), get("/volumes/vol1"))
        for number, body in enumerate(given, 1)
    )


def _listed(**terms: Any) -> Step:
    return get(f"/volumes?filters={quote(json.dumps(terms))}")


def _prune(version: str = "", **terms: Any) -> Step:
    return post(f"{version}/volumes/prune?filters={quote(json.dumps(terms))}")


def _mount(**volume_options: Any) -> dict[str, Any]:
    return {"Mounts": [{"Type": "volume", "Source": "vol1", "Target": "/v", "VolumeOptions": volume_options}]}


def _with(*binds: str, keep: str = "c", **more: Any) -> Request:
    return create(host={"Binds": list(binds)}, keep=keep, **more)


_TWO: Final = (_volume("vol1", Labels={"k": "v"}), _volume("vol2", Labels={"k": "w", "l": ""}))

CASES: Final[tuple[Case, ...]] = (
    *_made(
        "create",
        {},
        {"Labels": {"a": "b", "": "c"}},
        {"Driver": "local", "Labels": None, "DriverOpts": None},
        {"DriverOpts": _TMPFS},
        {"DriverOpts": _TMPFS | {"o": "size=1m,uid=7"}},
        {"DriverOpts": {"type": "nfs", "device": ":/x", "o": "addr=192.0.2.1,rw"}},
        {"DriverOpts": {"type": "", "device": "", "o": ""}},
        {"DriverOpts": {"size": "0"}},
    ),
    *_made(
        "options",
        {"DriverOpts": {"nonsense": "1"}},
        {"DriverOpts": {"type": "nfs"}},
        {"DriverOpts": {"device": "/x"}},
        {"DriverOpts": {"o": "bind"}},
        {"DriverOpts": {"o": "bind", "device": "/x"}},
        {"DriverOpts": {"size": "10m"}},
        {"DriverOpts": {"size": "x"}},
        {"DriverOpts": {"size": "-1"}},
        {"DriverOpts": {"size": 1}},
    ),
    *_made("name", {"Name": "a"}, {"Name": "-ab"}, {"Name": "a/b"}, {"Name": "a b"}, {"Name": "ä" * 3}, {"Name": "_a"}),
    *_made("of Swarm", {"ClusterVolumeSpec": {}}, {"ClusterVolumeSpec": {"Group": "g"}}),
    case("of Swarm for an old client", post("/v1.41/volumes/create", {"Name": "vol1", "ClusterVolumeSpec": {}})),
    case("create without a name", post("/volumes/create", {"Labels": {"a": "b"}}), _listed()),
    case("create without a body", post("/volumes/create"), _listed()),
    case("create with broken JSON", post("/volumes/create", b"{", headers={"Content-Type": "application/json"})),
    case("create with a wrong type", post("/volumes/create", {"Name": 1})),
    case(
        "create what is there",
        _volume(Labels={"a": "b"}),
        _volume(Labels={"c": "d"}, DriverOpts=_TMPFS),
        _volume(DriverOpts={"nonsense": "1"}),
        get("/volumes/vol1"),
    ),
    case("inspect what is not there", get("/volumes/nope"), get("/v1.41/volumes/nope")),
    case("update", _volume(), Request("PUT", "/volumes/vol1?version=1", {"Spec": {}}), Request("PUT", "/volumes/nope")),
    case("list nothing", get("/volumes")),
    case(
        "filters",
        *_TWO,
        _with("vol1:/v"),
        _listed(),
        _listed(name=["vol"]),
        _listed(name=["^ol"]),
        _listed(name=["1$", "vol2"]),
        _listed(label=["k"]),
        _listed(label=["k=w"]),
        _listed(label=["k=w", "l"]),
        _listed(label=["k=w", "m"]),
        _listed(driver=["local"]),
        _listed(driver=["nope"]),
        _listed(driver=["nope", "local"]),
        _listed(dangling=["true"]),
        _listed(dangling=["false"]),
        _listed(dangling=["1"], label=["k=v"]),
    ),
    case("a bad dangling", _listed(dangling=["x"])),
    case("a filter of prune", _listed(**{"label!": ["x"]})),
    case("broken filters", get("/volumes?filters=nonsense"), post("/volumes/prune?filters=nonsense")),
    case("remove", *_TWO, delete("/volumes/vol1"), delete("/volumes/vol1"), get("/volumes/vol2")),
    case("remove by force", _volume(), *(delete(f"/volumes/{one}?force=1") for one in ("vol1", "vol1", "nope"))),
    case("remove one in use", _with("vol1:/v"), delete("/volumes/vol1"), delete("/volumes/vol1?force=1")),
    case("remove behind its container", _with("vol1:/v"), delete("/containers/{c}?v=1"), delete("/volumes/vol1")),
    case("prune", *_TWO, post("/volumes/create", {}), _prune(), _prune(), _listed(), events="distinct"),
    case("prune by an old client", _volume(), _prune("/v1.42"), _prune("/v1.41")),
    case(
        "prune all by label",
        *_TWO,
        _prune(all=["1"], label=["k=w"]),
        _prune(all=["true"], **{"label!": ["k=x"]}),
        events="distinct",
    ),
    case("prune by label", *_TWO, _prune(label=["k"]), _prune(all=["0"], label=["k"]), _listed()),
    case("prune leaves options", _volume(DriverOpts=_TMPFS), _prune(all=["1"]), _listed()),
    case("prune leaves what is in use", _with("vol1:/v"), _prune(all=["1"]), _listed()),
    case("prune of all or not", _prune(all=["x"])),
    case("prune by age", _prune(until=["1h"])),
    case("disk usage", _with("vol1:/v"), get("/system/df", at="Volumes")),
    case("disk usage of what is unused", _volume(), get("/system/df", at="Volumes")),
    case("disk usage leaves options", _volume(DriverOpts=_TMPFS), get("/system/df", at="Volumes")),
    case("disk usage of nothing", get("/system/df", at="Volumes")),
    case("disk usage of volumes alone", _volume(), get("/system/df?type=volume"), get("/system/df?type=nope")),
    # --- of containers
    case("made with a container", create(host=_mount(Labels={"a": "b"})), get("/volumes/vol1")),
    case(
        "made with a container and options",
        create("true", host=_mount(DriverConfig={"Name": "local", "Options": _TMPFS})),
        get("/volumes/vol1"),
        start(),
        until("exited"),
        get("/containers/{c}/json", at="Mounts"),
    ),
    case("there before a container", _volume(), create(host=_mount(Labels={"a": "b"})), get("/volumes/vol1")),
    case("a wrong option of a mount", create(host=_mount(DriverConfig={"Options": {"nonsense": "1"}}))),
    case(
        "anonymous with labels and options",
        create(
            host={
                "Mounts": [
                    {
                        "Type": "volume",
                        "Target": "/v",
                        "VolumeOptions": {"Labels": {"a": "b"}, "DriverConfig": {"Options": _TMPFS}},
                    }
                ]
            }
        ),
        _listed(),
        get("/containers/{c}/json", at="Mounts"),
    ),
    case(
        "by volume",
        _with("vol1:/v"),
        *(
            get(f"/containers/json?all=1&filters={quote(json.dumps({'volume': [one]}))}", at="0.Mounts")
            for one in ("vol1", "/v", "vol2")
        ),
    ),
    case(
        "one that can't be mounted",
        _volume(DriverOpts={"type": "none", "device": "/nope", "o": "bind"}),
        _with("vol1:/v"),
        start(),
        delete("/volumes/vol1"),
    ),
    case(
        "mounted by two",
        _volume(DriverOpts=_TMPFS),
        _with("vol1:/v", keep="c"),
        _with("vol1:/w", keep="d"),
        start("c"),
        start("d"),
        get("/volumes/vol1"),
        events="distinct",
    ),
)
