"""`GET /info`, `/version` and `/system/df` from what nodes, containers and images say. Pure."""

from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from seaway_api.translate.image_catalogue import CachedImage, ImageCatalogue, listed, with_image_name
from seaway_api.translate.images import image_line
from seaway_api.translate.listing import list_json
from seaway_api.translate.node_status import cluster_status
from seaway_api.translate.nodes import NodeView
from seaway_api.translate.version import API_VERSION, MIN_API_VERSION, ApiVersion
from seaway_contracts.archives import ContainerSize
from seaway_contracts.containers import ContainerRecord, State
from seaway_contracts.images import Registries
from seaway_contracts.networks import DRIVERS as NETWORK_DRIVERS
from seaway_contracts.node_settings import ClusterSettings
from seaway_contracts.nodes import NodeFacts, NodeRecord
from seaway_contracts.version import VERSION
from seaway_docker.errors import InvalidParameter
from seaway_docker.log_options import DRIVERS as LOG_DRIVERS
from seaway_docker.networks import DRIVERS as PREDEFINED_NETWORKS
from seaway_docker.timestamps import rfc3339nano

_NANO: Final = 1_000_000_000
_KINDS: Final = {
    "image": "Images",
    "container": "Containers",
    "volume": "Volumes",
    "build-cache": "BuildCache",
}
"""What `system df` can be asked for, and the field that each fills."""
_KINDS_SINCE: Final[ApiVersion] = (1, 42)
_GO_ARCH: Final = {"x86_64": "amd64", "aarch64": "arm64"}


@dataclass(frozen=True)
class Cluster:
    """What the API could learn about the suite; a part that didn't answer is empty, and named in `silent`.

    `counts`: how many containers are on each node in each state, for `GET /info`; `containers` are for `/system/df`.
    """

    nodes: tuple[NodeRecord, ...] = ()
    settings: ClusterSettings = field(default_factory=ClusterSettings)
    containers: tuple[ContainerRecord, ...] = ()
    counts: Counter[tuple[str, State]] = field(default_factory=Counter)
    images: ImageCatalogue = field(default_factory=lambda: ImageCatalogue(()))
    registries: Registries = field(default_factory=Registries)
    silent: tuple[str, ...] = ()
    bus_trouble: str = ""
    """Why the API can't ask anybody; empty while it can."""

    @property
    def up(self) -> list[NodeRecord]:
        """The nodes that beat."""
        return [node for node in self.nodes if node.state == "up"]

    def facts(self, node: str) -> NodeFacts:
        """The facts of that node, or of the first one that beats."""
        up = self.up
        chosen = [one for one in up if one.node == node] or up
        return chosen[0].beat.facts if chosen else NodeFacts()


def info_json(
    cluster: Cluster, *, node: str, now_ns: int, readers: int, warnings: Sequence[str] = ()
) -> dict[str, Any]:
    """The suite as one Docker host: sums over all nodes that beat. `warnings`: of this API's endpoints."""
    facts = cluster.facts(node)
    return (
        _counts(cluster)
        | _abilities(facts)
        | _host(cluster, facts, node)
        | {
            "RegistryConfig": _registry_config(cluster.registries),
            "HttpProxy": cluster.registries.http_proxy,
            "HttpsProxy": cluster.registries.https_proxy,
            "NoProxy": cluster.registries.no_proxy,
            "Debug": False,
            "NFd": 0,
            "NGoroutines": 0,
            "SystemTime": rfc3339nano(now_ns),
            "NEventsListener": readers,
            "Warnings": [*warnings, *_warnings(cluster)] or None,
        }
    )


def _counts(cluster: Cluster) -> dict[str, Any]:
    states = Counter[State]()
    for (_, state), count in cluster.counts.items():
        states[state] += count
    running = states[State.RUNNING] + states[State.RESTARTING]
    return {
        "ID": "seaway",
        "Containers": states.total(),
        "ContainersRunning": running,
        "ContainersPaused": states[State.PAUSED],
        "ContainersStopped": states.total() - running - states[State.PAUSED],
        "Images": len(cluster.images.images),
        "Driver": "overlay2",
        "DriverStatus": cluster_status(cluster.nodes, cluster.settings, cluster.counts),
    }


def _registry_config(registries: Registries) -> dict[str, Any]:
    cidrs = [text for text in registries.insecure if "/" in text]
    index = {"docker.io": _index("docker.io", secure=True) | {"Mirrors": list(registries.mirrors), "Official": True}}
    insecure = [name for name in registries.insecure if name not in cidrs]
    for name in dict.fromkeys((*insecure, *registries.mirrors_of_others)):
        mirrors = {"Mirrors": list(registries.mirrors_of_others.get(name, ()))}
        index[name] = _index(name, secure=name not in insecure) | mirrors
    return {
        "AllowNondistributableArtifactsCIDRs": None,
        "AllowNondistributableArtifactsHostnames": None,
        "InsecureRegistryCIDRs": [*cidrs, "127.0.0.0/8"],
        "IndexConfigs": index,
        "Mirrors": list(registries.mirrors) or None,
    }


def _index(name: str, *, secure: bool) -> dict[str, Any]:
    return {"Name": name, "Mirrors": [], "Secure": secure, "Official": False}


def _abilities(facts: NodeFacts) -> dict[str, Any]:
    return {
        "Plugins": {
            "Volume": ["local"],
            "Network": sorted({*PREDEFINED_NETWORKS.values(), *NETWORK_DRIVERS}),
            "Authorization": None,
            "Log": sorted(LOG_DRIVERS),
        },
        "MemoryLimit": True,
        "SwapLimit": True,
        "CpuCfsPeriod": True,
        "CpuCfsQuota": True,
        "CPUShares": True,
        "CPUSet": True,
        "PidsLimit": True,
        "IPv4Forwarding": True,
        "BridgeNfIptables": False,
        "BridgeNfIp6tables": False,
        "OomKillDisable": facts.cgroup_version == "1",
        **({"KernelMemory": True, "KernelMemoryTCP": True} if facts.cgroup_version == "1" else {}),
        "LoggingDriver": "json-file",
        "IndexServerAddress": "https://index.docker.io/v1/",
        "GenericResources": None,
        "ExperimentalBuild": False,
        "Swarm": {
            "NodeID": "",
            "NodeAddr": "",
            "LocalNodeState": "inactive",
            "ControlAvailable": False,
            "Error": "",
            "RemoteManagers": None,
        },
        "LiveRestoreEnabled": True,
        "Isolation": "",
        "InitBinary": "",
        "ContainerdCommit": {"ID": "", "Expected": ""},
        "RuncCommit": {"ID": "", "Expected": ""},
        "InitCommit": {"ID": "", "Expected": ""},
        "ProductLicense": "",
        "CDISpecDirs": list(facts.cdi_directories),
    }


def _host(cluster: Cluster, facts: NodeFacts, node: str) -> dict[str, Any]:
    up = cluster.up
    return {
        "CgroupDriver": facts.cgroup_driver,
        "CgroupVersion": facts.cgroup_version,
        "KernelVersion": facts.kernel_version,
        "OperatingSystem": facts.operating_system,
        "OSVersion": facts.os_version,
        "OSType": facts.os,
        "Architecture": facts.architecture,
        "NCPU": sum(one.beat.capacity.nano_cpus for one in up) // _NANO,
        "MemTotal": sum(one.beat.capacity.memory for one in up),
        "DockerRootDir": facts.root,
        "Name": facts.hostname or node,
        "Labels": [f"{key}={value}" for key, value in sorted(facts.labels.items())],
        "ServerVersion": VERSION,
        "Runtimes": {name: {"path": path} for name, path in sorted(facts.runtimes.items())},
        "DefaultRuntime": facts.default_runtime,
        "SecurityOptions": list(facts.security_options),
    }


def _warnings(cluster: Cluster) -> list[str]:
    said = [f"WARNING: {text}" for node in cluster.up for text in node.beat.facts.warnings]
    said += [f"WARNING: node {node.node} is down" for node in cluster.nodes if node.state == "down"]
    if cluster.bus_trouble:
        trouble = f"WARNING: the bus is away: {cluster.bus_trouble}; containers go on, commands wait until it is back"
        return [*said, trouble]
    return said + [f"WARNING: the {name} service does not answer" for name in cluster.silent]


def version_json(facts: NodeFacts) -> dict[str, Any]:
    """`GET /version`"""
    arch = _GO_ARCH.get(facts.architecture, facts.architecture)
    details = {
        "ApiVersion": API_VERSION,
        "Arch": arch,
        "Experimental": "false",
        "GitCommit": "",
        "KernelVersion": facts.kernel_version,
        "MinAPIVersion": MIN_API_VERSION,
        "Os": facts.os,
    }
    return {
        "Platform": {"Name": "Seaway"},
        "Components": [{"Name": "Engine", "Version": VERSION, "Details": details}],
        "Version": VERSION,
        "ApiVersion": API_VERSION,
        "MinAPIVersion": MIN_API_VERSION,
        "GitCommit": "",
        "GoVersion": "",
        "Os": facts.os,
        "Arch": arch,
        "KernelVersion": facts.kernel_version,
        "BuildTime": "",
    }


def disk_usage_json(
    cluster: Cluster,
    volumes: Sequence[Mapping[str, Any]],
    version: ApiVersion,
    view: Callable[[str], NodeView],
    sizes: Mapping[str, ContainerSize],
    *,
    now_ns: int,
) -> dict[str, Any]:
    """`GET /system/df`: real sizes of images, containers and `volumes`; layers count once.

    `view` gives a container's node, `sizes` those of containers by id.
    """
    images = cluster.images
    users = Counter(record.spec.image.id for record in cluster.containers)
    return {
        "LayersSize": images.layers_size,
        "Images": [
            _usage_line(one, version, containers=users[one.id], shared=images.shared[one.id])
            for one in listed(images, every=False, dangling=None)
        ],
        "Containers": [
            with_image_name(list_json(record, view(record.node), now_ns=now_ns, size=sizes.get(record.id)), images)
            for record in cluster.containers
        ],
        "Volumes": list(volumes),
        "BuildCache": [],
    }


def _usage_line(image: CachedImage, version: ApiVersion, *, containers: int, shared: int) -> dict[str, Any]:
    """As in the list of images, but for null where it has no name of a kind."""
    line = image_line(image.record, version, containers=containers, shared=shared)
    return line | {key: line[key] or None for key in ("RepoTags", "RepoDigests")}


def disk_usage_kinds(asked: Sequence[str], version: ApiVersion) -> frozenset[str]:
    """The kinds of objects that a client asks for: all, where it names none. Raises InvalidParameter."""
    if version < _KINDS_SINCE or not asked:
        return frozenset(_KINDS)
    for kind in asked:
        if kind not in _KINDS:
            raise InvalidParameter(f"unknown object type: {kind}")
    return frozenset(asked)


def only_kinds(usage: Mapping[str, Any], kinds: Collection[str]) -> dict[str, Any]:
    """The disk usage of these kinds of objects; null for others."""
    hidden = {field: None for kind, field in _KINDS.items() if kind not in kinds}
    return {**usage, **hidden} | ({} if "image" in kinds else {"LayersSize": 0})
