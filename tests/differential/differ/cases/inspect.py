"""What `inspect` shows of what was asked for."""

from typing import Any, Final
from urllib.parse import quote

from differ.steps import Case, case, create, get, inspect, start, until

_FULL: Final[dict[str, Any]] = {
    "Memory": 64 << 20, "MemorySwap": 128 << 20, "MemoryReservation": 32 << 20, "NanoCpus": 500_000_000,
    "PidsLimit": 50, "CpuShares": 512, "OomScoreAdj": 100, "ShmSize": 1 << 20, "ReadonlyRootfs": True,
    "CapAdd": ["NET_ADMIN"], "CapDrop": ["MKNOD"], "Dns": ["192.0.2.1"], "DnsSearch": ["example.org"],
    "DnsOptions": ["ndots:2"], "ExtraHosts": ["a:192.0.2.2"], "GroupAdd": ["extra"], "Init": True,
    "SecurityOpt": ["no-new-privileges"], "Ulimits": [{"Name": "nofile", "Soft": 100, "Hard": 200}],
    "Tmpfs": {"/scratch": "size=1m"}, "RestartPolicy": {"Name": "on-failure", "MaximumRetryCount": 3},
    "LogConfig": {"Type": "json-file", "Config": {"max-size": "1m"}}, "Sysctls": {"net.ipv4.ip_forward": "1"},
    "Annotations": {"a": "b"},
}  # fmt: skip
_CONFIG: Final[dict[str, Any]] = {
    "Env": ["A=b"], "Labels": {"x": "y"}, "User": "app", "WorkingDir": "/tmp", "Hostname": "host", "Domainname": "dom",
    "Tty": True, "OpenStdin": True, "StdinOnce": True, "AttachStdout": True, "StopSignal": "SIGINT", "StopTimeout": 3,
    "ExposedPorts": {"80/tcp": {}}, "Entrypoint": ["sleep"],
}  # fmt: skip

CASES: Final[tuple[Case, ...]] = (
    case("created", create(), inspect()),
    case("running", create(), start(), inspect()),
    case(
        "with sizes",
        create("sh", "-c", "echo 12345 > /file"),
        start(),
        until("exited"),
        get("/containers/{c}/json?size=1"),
    ),
    case("all of Config", create("60", **_CONFIG), inspect(), start(), inspect()),
    case("all of HostConfig", create(host=_FULL), inspect(), start(), inspect()),
    case("what the image says", create(Image="dressed:1", Cmd=None, host={"NetworkMode": "none"}), inspect()),
    case("the image's entrypoint and another command", create("other", Image="dressed:1"), inspect()),
    case(
        "another entrypoint drops the image's command",
        create(Image="dressed:1", Entrypoint=["sh"], Cmd=None),
        inspect(),
    ),
    case("an empty entrypoint", create("x", Image="dressed:1", Entrypoint=[]), inspect()),
    case("an empty text as the entrypoint", create("x", Image="dressed:1", Entrypoint=[""]), inspect()),
    case("the image's environment", create(Image="dressed:1", Env=["COLOUR=red", "MORE=1"]), inspect()),
    case("on the bridge", create(host={"NetworkMode": "bridge"}), inspect(), start(), inspect()),
    case("on the default network", create(host={"NetworkMode": "default"}), inspect(), start(), inspect()),
    case(
        "on the bridge after its end",
        create("true", host={"NetworkMode": "bridge"}),
        start(),
        until("exited"),
        inspect(),
    ),
    case("on the host's network", create(host={"NetworkMode": "host"}), start(), inspect()),
    case(
        "in another one's network",
        create(name="first"),
        start(),
        create(host={"NetworkMode": "container:first"}, keep="d"),
        start("d"),
        inspect("d"),
    ),
    case(
        "with published ports",
        create(
            host={
                "NetworkMode": "bridge",
                "PortBindings": {"80/tcp": [{"HostIp": "127.0.0.1", "HostPort": "18080"}], "81/udp": [{}]},
            },
            ExposedPorts={"80/tcp": {}, "81/udp": {}, "82/tcp": {}},
        ),
        inspect(),
        start(),
        inspect(),
    ),
    case(
        "with a binding of a port that is not exposed",
        create(host={"NetworkMode": "bridge", "PortBindings": {"80/tcp": [{"HostPort": "18083"}]}}),
        start(),
        inspect(),
    ),
    case(
        "with all exposed ports published",
        create(host={"NetworkMode": "bridge", "PublishAllPorts": True}, ExposedPorts={"80/tcp": {}}),
        start(),
        inspect(),
    ),
    case("with a bind", create(host={"Binds": ["/usr/share:/in:ro"]}), inspect()),
    case("with a bind of a missing path", create(host={"Binds": ["{engine}/missing:/in"]}), inspect()),
    case("with anonymous volumes", create(Volumes={"/data": {}}), inspect(), start(), inspect()),
    case("with a named volume", create(host={"Binds": ["named-one:/data:nocopy"]}), inspect()),
    case(
        "with mounts",
        create(
            host={
                "Mounts": [
                    {"Type": "bind", "Source": "/usr/share", "Target": "/b", "ReadOnly": True},
                    {"Type": "tmpfs", "Target": "/t", "TmpfsOptions": {"SizeBytes": 1 << 20, "Mode": 0o700}},
                    {"Type": "volume", "Target": "/v"},
                ]
            }
        ),
        inspect(),
        start(),
        inspect(),
    ),
    case("privileged", create(host={"Privileged": True}), inspect()),
    case(
        "with the host's namespaces", create(host={"PidMode": "host", "IpcMode": "host", "UTSMode": "host"}), inspect()
    ),
    case("with a health check", create(Healthcheck={"Test": ["CMD", "true"], "Interval": 10**10}), inspect()),
    case("by name", create(name="inspected"), get("/containers/inspected/json")),
    case("nothing", get("/containers/nothing/json")),
    case("a prefix that is too short for one", create(name="abcname"), get("/containers/zzzz/json")),
    case("a name with bad characters", get("/containers/na%20me/json")),
    case("ping", get("/_ping")),
    case("an unknown path", get("/nonsense")),
    case("a known path, another method", get("/containers/create")),
    case("a version that is too new", get("/v1.99/containers/json")),
    case("a version that is too old", get("/v1.12/containers/json")),
    case("a version that is none", get("/v1.x/containers/json")),
    case("an older version", create(name="older"), get("/v1.41/containers/older/json")),
    case("the oldest version", create(name="oldest"), get("/v1.24/containers/oldest/json")),
    case("a network's inspection", create(host={"NetworkMode": "bridge"}), start(), get("/networks/bridge")),
    case("the network none", create(), start(), get("/networks/none")),
    case("the list of networks", get("/networks?filters=" + quote('{"name":["none"]}'))),
    case("an unknown network", get("/networks/nothing")),
    case("an image's inspection", get("/images/busybox/json"), get("/images/dressed:1/json")),
    case("an image's history", get("/images/dressed:1/history")),
    case("an unknown image", get("/images/nothing/json")),
)
