"""Whole sequences of calls, as programs make them: Portainer, Traefik, Prometheus' docker_sd."""

import json
from typing import Final
from urllib.parse import quote

from differ.steps import Case, Step, case, create, delete, get, network, post, start

_LABELS: Final = {"traefik.enable": "true", "traefik.http.routers.web.rule": "Host(`web.test`)"}
_WEB: Final[tuple[Step, ...]] = (
    create(name="web", Labels=_LABELS, ExposedPorts={"80/tcp": {}}, host={"NetworkMode": "net1"}),
    start(),
)


def _filters(**terms: list[str]) -> str:
    return quote(json.dumps({key: dict.fromkeys(values, True) for key, values in terms.items()}))


CASES: Final[tuple[Case, ...]] = (
    case(
        "Traefik looks for services",
        network("net1", {"Driver": "bridge", "IPAM": {"Config": [{"Subnet": "10.203.0.0/24"}]}}),
        *_WEB,
        get("/version", at="Os"),
        get("/v1.24/version", at="MinAPIVersion"),
        get("/v1.24/containers/json", at="0.Names"),
        get("/v1.24/containers/json", at="0.State"),
        get("/v1.24/containers/json", at="0.Labels"),
        get("/v1.24/containers/{c}/json", at="Config.Labels"),
        get("/v1.24/containers/{c}/json", at="HostConfig.NetworkMode"),
        get("/v1.24/containers/{c}/json", at="NetworkSettings.Ports"),
        get("/v1.24/containers/{c}/json", at="NetworkSettings.Networks.net1.IPAddress"),
        get("/v1.24/containers/{c}/json", at="State.Status"),
        get(f"/v1.24/events?until=1&filters={_filters(type=['container'])}", as_="raw"),
        events="none",
    ),
    case(
        "docker_sd looks for targets",
        network("net1", {"Driver": "bridge", "Internal": True, "IPAM": {"Config": [{"Subnet": "10.203.0.0/24"}]}}),
        *_WEB,
        create(name="stopped", Labels={"job": "x"}, keep="d"),
        get("/containers/json?limit=0", at="0.Names"),
        get(f"/containers/json?filters={_filters(name=['web'])}", at="0.NetworkSettings.Networks.net1.IPAddress"),
        get(f"/containers/json?filters={_filters(label=['traefik.enable=true'])}", at="0.HostConfig"),
        get("/networks", at="0.Scope"),
        get(f"/networks?filters={_filters(name=['net1'])}", at="0.Internal"),
        get(f"/networks?filters={_filters(name=['net1'])}", at="0.Labels"),
        events="none",
    ),
    case(
        "Portainer draws its dashboard",
        network("net1", {"Driver": "bridge", "IPAM": {"Config": [{"Subnet": "10.203.0.0/24"}]}}),
        *_WEB,
        get("/_ping", as_="raw"),
        get("/info", at="Swarm"),
        get("/info", at="ContainersRunning"),
        get("/version", at="Platform.Nothing"),
        get("/containers/json?all=1", at="0.Names"),
        get("/containers/json?all=1&size=1", at="0.SizeRw"),
        get("/images/json?all=0", at="0.Containers"),
        get("/volumes", at="Volumes"),
        get(f"/volumes?filters={_filters(dangling=['true'])}", at="Volumes"),
        get("/networks", at="0.Scope"),
        get("/plugins"),
        get("/containers/{c}/stats?stream=false", at="memory_stats.nothing"),
        get("/containers/{c}/top", at="Titles"),
        get("/containers/{c}/logs?stdout=1&stderr=1&timestamps=0&tail=100", as_="frames"),
        post("/containers/{c}/restart?t=0"),
        post("/containers/{c}/kill"),
        delete("/containers/{c}?v=1&force=1"),
        get("/containers/{c}/json"),
        events="none",
    ),
)
