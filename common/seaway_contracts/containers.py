"""Containers: the spec (`ContainerSpec`, written once) and the status (`ContainerStatus`, written by the agent)."""

from enum import StrEnum
from typing import Final, Literal

from pydantic import Field

from seaway_contracts.base import Payload
from seaway_contracts.images import Healthcheck, Layer

DEFAULT_STOP_S: Final = 10
"""From the stop signal to SIGKILL, for a container without a stop time-out of its own."""


class State(StrEnum):
    """Docker's container states."""

    CREATED = "created"
    RUNNING = "running"
    PAUSED = "paused"
    RESTARTING = "restarting"
    REMOVING = "removing"
    EXITED = "exited"
    DEAD = "dead"


class ImageUse(Payload):
    """The image that a container runs or mounts: the name that the user gave, its id and its layers."""

    ref: str
    id: str
    layers: tuple[Layer, ...] = ()


class Mount(Payload):
    """A mount from outside the image. `source` is a host path (bind), a volume's name, or that of another image;
    `options` as in fstab. `image` is that other image, once it is found.

    `shown_mode` is the third part of a Binds text, for inspect. `recursive_read_only`: whether a read-only bind makes
    the mounts below it read-only: empty (if the host can), `never`, or `always` (else the start fails). `subpath` is
    inside the volume or image. `propagation` is empty if the user gave none. `host_path` is a volume's path on its
    node, which the agent reports. `volume_labels`, `volume_options`: those of a volume that is made for this mount.
    """

    type: Literal["bind", "volume", "tmpfs", "image"]
    target: str
    source: str = ""
    read_only: bool = False
    propagation: str = ""
    options: tuple[str, ...] = ()
    create_source: bool = False
    no_copy: bool = False
    anonymous: bool = False
    size: int = 0
    mode: int = 0o1777
    shown_mode: str = ""
    recursive: bool = True
    recursive_read_only: Literal["", "never", "always"] = ""
    subpath: str = ""
    host_path: str = ""
    volume_labels: dict[str, str] = Field(default_factory=dict)
    volume_options: dict[str, str] = Field(default_factory=dict)
    listed: bool = True
    image: ImageUse | None = None


class Ulimit(Payload):
    """A resource limit by its lower-case name (`nofile`)."""

    name: str
    soft: int
    hard: int


class Device(Payload):
    """A host device given to the container; `permissions` out of `rwm`."""

    host_path: str
    container_path: str
    permissions: str = "rwm"


class DeviceRequest(Payload):
    """Devices that a driver finds (`--gpus`, CDI names). `count` -1 asks for all; `capabilities` is an OR of ANDs."""

    driver: str = ""
    count: int = 0
    ids: tuple[str, ...] = ()
    capabilities: tuple[tuple[str, ...], ...] = ()


class DeviceLimit(Payload):
    """A block device's weight, or its rate in bytes or operations per second."""

    path: str
    value: int


class Resources(Payload):
    """Limits. Bytes, microseconds (cpu period and quota), billionths of a core; 0 or None means unlimited.

    `cpu_reservation`, in billionths of a core, and `memory_reservation` are kept for the container on its node.
    """

    memory: int = 0
    memory_swap: int = 0
    memory_reservation: int = 0
    cpu_reservation: int = 0
    memory_swappiness: int | None = None
    nano_cpus: int = 0
    cpu_shares: int = 0
    cpu_period: int = 0
    cpu_quota: int = 0
    cpuset_cpus: str = ""
    cpuset_mems: str = ""
    pids_limit: int | None = None
    blkio_weight: int = 0
    oom_kill_disable: bool = False
    oom_score_adj: int = 0
    ulimits: tuple[Ulimit, ...] = ()
    devices: tuple[Device, ...] = ()
    device_cgroup_rules: tuple[str, ...] = ()
    device_requests: tuple[DeviceRequest, ...] = ()
    blkio_weight_device: tuple[DeviceLimit, ...] = ()
    blkio_read_bps: tuple[DeviceLimit, ...] = ()
    blkio_write_bps: tuple[DeviceLimit, ...] = ()
    blkio_read_iops: tuple[DeviceLimit, ...] = ()
    blkio_write_iops: tuple[DeviceLimit, ...] = ()
    cpu_realtime_period: int = 0
    cpu_realtime_runtime: int = 0
    cgroup_parent: str = ""


class Security(Payload):
    """Privileges. `masked_paths` and `readonly_paths` are Docker's defaults where None."""

    privileged: bool = False
    cap_add: tuple[str, ...] = ()
    cap_drop: tuple[str, ...] = ()
    read_only_rootfs: bool = False
    no_new_privileges: bool = False
    seccomp: str = ""
    apparmor: str = ""
    masked_paths: tuple[str, ...] | None = None
    readonly_paths: tuple[str, ...] | None = None
    group_add: tuple[str, ...] = ()


class PortBinding(Payload):
    """A published port as asked for. `host_port` may be empty (any free one) or a range `8000-8010`."""

    container_port: int
    protocol: Literal["tcp", "udp", "sctp"] = "tcp"
    host_ip: str = ""
    host_port: str = ""


class Link(Payload):
    """Another container of the default bridge (`--link`), by id, and the name under which it is known inside."""

    container: str
    name: str
    alias: str


class EndpointSpec(Payload):
    """The endpoint of a container in one network, as asked for. `links`: containers with another name in this network.

    `network` is the name or the id that the user gave, and the network's name once metadata has registered the
    endpoint. Then `network_id` is set, and in a network of users the `claimed_` addresses are the container's. A
    network that metadata didn't find has no `network_id`: the start fails.
    An address that was asked for and that another container had at the create is claimed at the start.
    """

    network: str
    network_id: str = ""
    claimed_ipv4: str = ""
    claimed_ipv6: str = ""
    aliases: tuple[str, ...] = ()
    ipv4_address: str = ""
    ipv6_address: str = ""
    mac_address: str = ""
    driver_options: dict[str, str] = Field(default_factory=dict)
    gateway_priority: int = 0
    links: tuple[Link, ...] = ()

    @property
    def lacks_address(self) -> bool:
        """Whether an address that was asked for is not claimed for it (yet)."""
        asked = ((self.ipv4_address, self.claimed_ipv4), (self.ipv6_address, self.claimed_ipv6))
        return any(address and not claimed for address, claimed in asked)


class ContainerNetworking(Payload):
    """The network namespace of a container (its sandbox), and its endpoints in networks.

    `sandbox`: empty for one of its own, `host`, or `container:<id>` for another container's. Only a sandbox of its own
    has endpoints; without endpoints it has only the loopback. The first endpoint is that of Docker's NetworkMode.
    `disconnected`: it has no endpoints because it was disconnected from all of its networks.
    """

    sandbox: str = ""
    endpoints: tuple[EndpointSpec, ...] = ()
    disconnected: bool = False
    hostname: str = ""
    domainname: str = ""
    dns: tuple[str, ...] = ()
    dns_search: tuple[str, ...] = ()
    dns_options: tuple[str, ...] = ()
    extra_hosts: tuple[str, ...] = ()
    ports: tuple[PortBinding, ...] = ()
    publish_all: bool = False
    exposed_ports: tuple[str, ...] = ()

    @property
    def partner(self) -> str:
        """The id of the container whose sandbox is shared; empty for none."""
        kind, _, container = self.sandbox.partition(":")
        return container if kind == "container" else ""

    @property
    def networks(self) -> tuple[str, ...]:
        """The networks that Docker shows it in: `host` or `none` without endpoints, nothing in another's sandbox."""
        if self.endpoints:
            return tuple(endpoint.network for endpoint in self.endpoints)
        return () if self.partner or self.disconnected else (self.sandbox or "none",)

    @property
    def links(self) -> tuple[Link, ...]:
        """The links of all endpoints."""
        return tuple(link for endpoint in self.endpoints for link in endpoint.links)

    @property
    def fixed_host_ports(self) -> tuple[int, ...]:
        """The host ports that must be free on the node."""
        return tuple(int(port.host_port) for port in self.ports if port.host_port.isdigit() and port.host_port != "0")


class Namespaces(Payload):
    """Namespace modes in Docker's words (empty: a private one)."""

    pid: str = ""
    ipc: str = ""
    uts: str = ""
    cgroup: str = ""


class RestartPolicy(Payload):
    """Docker's restart policy."""

    name: Literal["no", "always", "unless-stopped", "on-failure"] = "no"
    max_retries: int = 0


class LogConfig(Payload):
    """Docker's log driver and its options."""

    driver: str = "json-file"
    options: dict[str, str] = Field(default_factory=dict)


class Command(Payload):
    """The container's program. `entrypoint`: the user's or else the image's; `cmd` likewise, but the user's
    entrypoint discards the image's cmd; `env`: the image's variables and the user's.

    `height` and `width` are the terminal's at the start, 0 for the kernel's choice.
    """

    entrypoint: tuple[str, ...] | None = None
    cmd: tuple[str, ...] | None = None
    env: tuple[str, ...] = ()
    workdir: str = ""
    user: str = ""
    tty: bool = False
    height: int = 0
    width: int = 0
    open_stdin: bool = False
    stdin_once: bool = False
    attach_stdin: bool = False
    attach_stdout: bool = True
    attach_stderr: bool = True
    stop_signal: str = ""
    stop_timeout: int | None = None
    init: bool = False
    shell: tuple[str, ...] = ()

    @property
    def args(self) -> tuple[str, ...]:
        """The argument vector of the container's first process."""
        return (self.entrypoint or ()) + (self.cmd or ())


class Asked(Payload):
    """The client's request as JSON objects with Docker's names, without defaults.

    Only inspect reads them, to return them; where the spec has the same, the spec is right.
    """

    config: str = ""
    host_config: str = ""


class ContainerSpec(Payload):
    """What a container was asked to be; only name, limits, restart policy and endpoints change. Times in Unix ns."""

    id: str
    name: str
    created_ns: int
    image: ImageUse
    command: Command = Field(default_factory=Command)
    labels: dict[str, str] = Field(default_factory=dict)
    annotations: dict[str, str] = Field(default_factory=dict)
    mounts: tuple[Mount, ...] = ()
    image_volumes: tuple[str, ...] = ()
    resources: Resources = Field(default_factory=Resources)
    security: Security = Field(default_factory=Security)
    network: ContainerNetworking = Field(default_factory=ContainerNetworking)
    namespaces: Namespaces = Field(default_factory=Namespaces)
    restart: RestartPolicy = Field(default_factory=RestartPolicy)
    log: LogConfig = Field(default_factory=LogConfig)
    healthcheck: Healthcheck | None = None
    shm_size: int = 64 * 1024 * 1024
    sysctls: dict[str, str] = Field(default_factory=dict)
    runtime: str = ""
    auto_remove: bool = False
    platform: str = ""
    asked: Asked = Field(default_factory=Asked)

    @property
    def images(self) -> tuple[ImageUse, ...]:
        """The image that it runs, and those that it mounts."""
        return (self.image, *(mount.image for mount in self.mounts if mount.image is not None))


class Endpoint(Payload):
    """The endpoint of a running container in one network; an address is empty if it has none of that family."""

    network: str
    network_id: str
    endpoint_id: str = ""
    address: str = ""
    prefix_len: int = 0
    gateway: str = ""
    mac_address: str = ""
    ipv6_address: str = ""
    ipv6_prefix_len: int = 0
    ipv6_gateway: str = ""


class PublishedPort(Payload):
    """A port that is reachable on the host."""

    container_port: int
    protocol: str
    host_ip: str
    host_port: int


class Probe(Payload):
    """One health probe. Times in Unix ns; `exit_code` -1: it took too long. `output`: at most its first 4096 bytes."""

    started_ns: int = 0
    ended_ns: int = 0
    exit_code: int = 0
    output: str = ""


class Health(Payload):
    """A container's health. `log`: the last five probes, oldest first."""

    status: Literal["starting", "healthy", "unhealthy"] = "starting"
    failing_streak: int = 0
    log: tuple[Probe, ...] = ()


class ContainerStatus(Payload):
    """A container's status as its agent last saw it. `seq` counts the container's events; `run` its starts.

    `removes_volumes`: its removal has begun, and includes its anonymous volumes. `paused_by_commit`: paused while its
    agent commits it. `apparmor`: the AppArmor profile of its last run, empty for none; None if there was no run or its
    agent doesn't report it.
    """

    state: State = State.CREATED
    seq: int = 0
    run: int = 0
    pid: int = 0
    exit_code: int = 0
    error: str = ""
    oom_killed: bool = False
    started_ns: int = 0
    finished_ns: int = 0
    restart_count: int = 0
    manually_stopped: bool = False
    removes_volumes: bool = False
    paused_by_commit: bool = False
    endpoints: tuple[Endpoint, ...] = ()
    ports: tuple[PublishedPort, ...] = ()
    health: Health | None = None
    log_path: str = ""
    apparmor: str | None = None
    exec_ids: tuple[str, ...] = ()
    """The ids of execs that have not ended."""


class ContainerRecord(Payload):
    """A container as the cluster knows it: spec, status and node. `spec_seq`: the event that set the spec.

    `discarded`: its create failed, as far as the user knows. If the node has made it after all, the node removes it.
    """

    spec: ContainerSpec
    node: str
    status: ContainerStatus = Field(default_factory=ContainerStatus)
    spec_seq: int = 0
    discarded: bool = False

    @property
    def id(self) -> str:
        """The container's id."""
        return self.spec.id
