"""What clients of old API versions say and get: bodies of create, and GET /info."""

from typing import Any, Final

from differ.steps import Case, Request, case, create, get, hijack, inspect, post, start

_MIB: Final = 1 << 20
_VERSIONS: Final = ("1.24", "1.25", "1.39", "1.40", "1.41", "1.42", "1.43", "1.44")
_MOUNTS: Final = [
    {"Type": "bind", "Source": "/etc", "Target": "/a", "ReadOnly": True, "BindOptions": {"NonRecursive": True}},
    {"Type": "bind", "Source": "/etc", "Target": "/b", "BindOptions": {"CreateMountpoint": True}},
    {"Type": "bind", "Source": "/etc", "Target": "/c", "ReadOnly": True},
]
_HOST: Final = {
    "NetworkMode": "none",
    "PidsLimit": 5,
    "AutoRemove": True,
    "Annotations": {"a": "b"},
    "ConsoleSize": [5, 6],
    "KernelMemoryTCP": 5,
    "Mounts": _MOUNTS,
}
_PROBE: Final = {"Test": ["CMD", "true"], "StartPeriod": 7_000_000_000, "StartInterval": 5_000_000_000}


def _create(version: str, body: dict[str, Any]) -> Request:
    whole = {"Image": "busybox", "Cmd": ["sleep", "60"]} | body
    return post(f"/v{version}/containers/create", whole, keep={"c": "Id"})


def _exec(version: str) -> Request:
    body = {"AttachStdout": True, "Tty": True, "Cmd": ["stty", "size"], "ConsoleSize": [20, 70]}
    return post(f"/v{version}/containers/{{c}}/exec", body, keep={"x": "Id"})


def _mounted(version: str, kind: str, options: str) -> Request:
    source = {"Source": "/etc"} if kind == "bind" else {}
    return _create(
        version,
        {"HostConfig": {"NetworkMode": "none", "Mounts": [{"Type": kind, "Target": "/t", options: {}, **source}]}},
    )


CASES: Final[tuple[Case, ...]] = (
    *(
        case(f"create through {version}", _create(version, {"Healthcheck": _PROBE, "HostConfig": _HOST}), inspect())
        for version in _VERSIONS
    ),
    *(
        case(
            f"a terminal's size through {version}",
            create(),
            start(),
            _exec(version),
            hijack(f"/v{version}/exec/{{x}}/start", {"Tty": True}, as_="raw"),
        )
        for version in ("1.41", "1.42")
    ),
    case("options of security through 1.24", get("/v1.24/info", at="SecurityOptions")),
    case("the driver through 1.24", get("/v1.24/info", at="ExecutionDriver")),
    case("kernel memory through 1.41", get("/v1.41/info", at="KernelMemory")),
    case("kernel memory of sockets", *(get(f"/v{version}/info", at="KernelMemoryTCP") for version in ("1.24", "1.45"))),
    *(
        case(f"{given} of a {kind} through 1.41", *(_mounted(version, kind, given) for version in ("1.41", "1.42")))
        for kind, given in (
            ("volume", "BindOptions"),
            ("volume", "TmpfsOptions"),
            ("bind", "VolumeOptions"),
            ("bind", "TmpfsOptions"),
            ("tmpfs", "BindOptions"),
            ("tmpfs", "VolumeOptions"),
            ("nope", "BindOptions"),
        )
    ),
    case(
        "two endpoints through 1.43",
        post(
            "/v1.43/containers/create",
            {"Image": "busybox", "NetworkingConfig": {"EndpointsConfig": {"bridge": {}, "other": {}}}},
            as_="none",
        ),
    ),
    # fields of HostConfig beside those of Config
    case("too little memory beside", _create("1.45", {"Memory": 524_287})),
    case(
        "all beside",
        _create("1.45", {"Memory": 64 * _MIB, "Privileged": True, "NetworkMode": "none", "Binds": ["/etc:/x"]}),
        inspect(),
    ),
    case(
        "some beside, and HostConfig",
        _create(
            "1.45",
            {
                "Memory": 64 * _MIB,
                "CpuShares": 5,
                "CpusetCpus": "0",
                "Privileged": True,
                "HostConfig": {"NetworkMode": "none", "CpuShares": 7},
            },
        ),
        inspect(),
    ),
    case(
        "a set of processors of old", _create("1.45", {"Cpuset": "0", "HostConfig": {"NetworkMode": "none"}}), inspect()
    ),
)
