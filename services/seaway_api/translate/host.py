"""The parts of a container's spec that come from HostConfig. Pure."""

from collections.abc import Iterable, Mapping
from typing import Final, Literal, cast

from seaway_api.translate.checked import CheckedCreate
from seaway_contracts.containers import (
    ContainerNetworking,
    Device,
    DeviceLimit,
    DeviceRequest,
    EndpointSpec,
    Link,
    Mount,
    PortBinding,
    Resources,
    RestartPolicy,
    Security,
    Ulimit,
)
from seaway_docker.errors import InvalidParameter
from seaway_docker.links import parse_link
from seaway_docker.model_container import EndpointIPAMConfig, EndpointSettings
from seaway_docker.model_host import DriverConfig, HostConfig, ThrottleDevice
from seaway_docker.mounts import MountSpec, collect_mounts
from seaway_docker.ports import HostBinding
from seaway_docker.tmpfs import tmpfs_mount_options, tmpfs_options
from seaway_docker.volumes import check_local_options

Protocol = Literal["tcp", "udp", "sctp"]
_TRUE: Final = ("1", "t", "T", "TRUE", "true", "True")
_FALSE: Final = ("0", "f", "F", "FALSE", "false", "False")
_BOOLEANS: Final = {**dict.fromkeys(_TRUE, True), **dict.fromkeys(_FALSE, False)}
_READ_ONLY_MODES: Final[dict[tuple[bool, bool], Literal["", "never", "always"]]] = {
    (False, False): "",
    (True, False): "never",
    (False, True): "always",
}


def resources(host: HostConfig) -> Resources:
    """The limits. Without a swap limit Docker allows as much swap as memory."""
    swap = 2 * host.memory if host.memory > 0 and host.memory_swap == 0 else host.memory_swap
    return Resources(
        memory=host.memory,
        memory_swap=swap,
        memory_reservation=host.memory_reservation,
        memory_swappiness=None if host.memory_swappiness == -1 else host.memory_swappiness,
        nano_cpus=host.nano_cpus,
        cpu_shares=host.cpu_shares,
        cpu_period=host.cpu_period,
        cpu_quota=host.cpu_quota,
        cpuset_cpus=host.cpuset_cpus,
        cpuset_mems=host.cpuset_mems,
        cpu_realtime_period=host.cpu_realtime_period,
        cpu_realtime_runtime=host.cpu_realtime_runtime,
        pids_limit=host.pids_limit if (host.pids_limit or 0) > 0 else None,
        blkio_weight=host.blkio_weight,
        blkio_weight_device=tuple(
            DeviceLimit(path=one.path, value=one.weight) for one in host.blkio_weight_device or ()
        ),
        blkio_read_bps=_throttled(host.blkio_device_read_bps),
        blkio_write_bps=_throttled(host.blkio_device_write_bps),
        blkio_read_iops=_throttled(host.blkio_device_read_iops),
        blkio_write_iops=_throttled(host.blkio_device_write_iops),
        oom_kill_disable=bool(host.oom_kill_disable),
        oom_score_adj=host.oom_score_adj,
        ulimits=tuple(Ulimit(name=limit.name, soft=limit.soft, hard=limit.hard) for limit in host.ulimits or ()),
        devices=tuple(
            Device(
                host_path=device.path_on_host,
                container_path=device.path_in_container or device.path_on_host,
                permissions=device.cgroup_permissions or "rwm",
            )
            for device in host.devices or ()
        ),
        device_cgroup_rules=tuple(host.device_cgroup_rules or ()),
        device_requests=_device_requests(host),
        cgroup_parent=host.cgroup_parent,
    )


def _throttled(devices: Iterable[ThrottleDevice] | None) -> tuple[DeviceLimit, ...]:
    return tuple(DeviceLimit(path=one.path, value=one.rate) for one in devices or ())


def _device_requests(host: HostConfig) -> tuple[DeviceRequest, ...]:
    return tuple(
        DeviceRequest(
            driver=asked.driver,
            count=asked.count,
            ids=tuple(asked.device_ids or ()),
            capabilities=tuple(tuple(together) for together in asked.capabilities or ()),
        )
        for asked in host.device_requests or ()
    )


def security(host: HostConfig, cap_add: tuple[str, ...], cap_drop: tuple[str, ...]) -> Security:
    """Privileges. Raises InvalidParameter for an unknown security option."""
    options = _security_options(host.security_opt or ())
    return Security(
        privileged=host.privileged,
        cap_add=cap_add,
        cap_drop=cap_drop,
        read_only_rootfs=host.readonly_rootfs,
        no_new_privileges=_BOOLEANS[options.get("no-new-privileges", "false")],
        seccomp="" if options.get("seccomp") == "builtin" else options.get("seccomp", ""),
        apparmor=options.get("apparmor", ""),
        masked_paths=None if host.masked_paths is None else tuple(host.masked_paths),
        readonly_paths=None if host.readonly_paths is None else tuple(host.readonly_paths),
        group_add=tuple(host.group_add or ()),
    )


def _security_options(texts: Iterable[str]) -> dict[str, str]:
    found: dict[str, str] = {}
    for text in texts:
        if text == "no-new-privileges":
            found[text] = "true"
            continue
        key, sign, value = text.partition("=") if "=" in text else text.partition(":")
        if not sign:
            raise InvalidParameter(f'invalid --security-opt 1: "{text}"')
        if key not in ("label", "apparmor", "seccomp", "no-new-privileges"):
            raise InvalidParameter(f'invalid --security-opt 2: "{text}"')
        if key == "no-new-privileges" and value not in _BOOLEANS:
            raise InvalidParameter(f'invalid --security-opt 2: "{text}"')
        found[key] = value
    return found


def network(checked: CheckedCreate, links: tuple[Link, ...]) -> ContainerNetworking:
    """Sandbox and endpoints. `links` are those of the default bridge."""
    body, host, mode = checked.body, checked.body.host_config, checked.mode
    shared = mode == "host" or mode.startswith("container:")
    disabled = body.network_disabled
    asked = {} if disabled else checked.endpoints
    return ContainerNetworking(
        sandbox=mode if shared and not disabled else "",
        endpoints=tuple(
            endpoint_spec(name, settings, links if name == "bridge" else ()) for name, settings in asked.items()
        ),
        hostname=body.hostname,
        domainname=body.domainname,
        dns=tuple(host.dns or ()),
        dns_search=tuple(host.dns_search or ()),
        dns_options=tuple(host.dns_options or ()),
        extra_hosts=tuple(host.extra_hosts or ()),
        ports=tuple(_port(binding) for binding in checked.bindings),
        publish_all=host.publish_all_ports,
        exposed_ports=tuple(str(port) for port in checked.exposed),
    )


def endpoint_spec(network: str, asked: EndpointSettings, links: tuple[Link, ...] = ()) -> EndpointSpec:
    """An endpoint as asked for. In a network of users its own links are names that its resolver knows."""
    if network != "bridge":
        links = tuple(Link(container="", name=name, alias=alias) for name, alias in map(parse_link, asked.links or ()))
    chosen = asked.ipam_config or EndpointIPAMConfig()
    return EndpointSpec(
        network=network,
        aliases=tuple(asked.aliases or ()),
        ipv4_address=chosen.ipv4_address,
        ipv6_address=chosen.ipv6_address,
        mac_address=asked.mac_address,
        driver_options=dict(asked.driver_opts or {}),
        gateway_priority=asked.gateway_priority,
        links=links,
    )


def _port(binding: HostBinding) -> PortBinding:
    if binding.first == binding.last:
        asked = str(binding.first) if binding.first else ""
    else:
        asked = f"{binding.first}-{binding.last}"
    protocol = cast(Protocol, binding.port.protocol)
    return PortBinding(container_port=binding.port.number, protocol=protocol, host_ip=binding.host_ip, host_port=asked)


def mounts(host: HostConfig) -> tuple[Mount, ...]:
    """What Binds, Mounts and Tmpfs ask for; an anonymous volume has no source yet. Raises InvalidParameter."""
    return tuple(map(_mount, collect_mounts(host.binds or (), host.mounts or (), host.tmpfs)))


def _mount(spec: MountSpec) -> Mount:
    options: tuple[str, ...] = ()
    if spec.kind == "tmpfs":
        tmpfs_options(spec.tmpfs_data)
        tmpfs_mount_options(spec.tmpfs, spec.read_only)
        extra = tuple("=".join(pair) for pair in spec.tmpfs.options or ())
        options = tuple(spec.tmpfs_data.split(",")) if spec.tmpfs_data else extra
    driver = spec.volume.driver_config or DriverConfig()
    return Mount(
        type=cast(Literal["bind", "volume", "tmpfs"], spec.kind),
        target=spec.target,
        source=spec.source,
        read_only=spec.read_only,
        propagation=spec.bind.propagation,
        options=options,
        create_source=spec.create_source,
        no_copy=spec.volume.no_copy,
        anonymous=spec.anonymous,
        size=spec.tmpfs.size_bytes,
        mode=spec.tmpfs.mode or 0o1777,
        shown_mode=_shown_mode(spec),
        recursive=not spec.bind.non_recursive,
        recursive_read_only=_recursive_read_only(spec),
        subpath=spec.volume.subpath,
        volume_labels=dict(spec.volume.labels or {}),
        volume_options=_volume_options(spec.source, driver.options or {}),
        listed=spec.listed,
    )


def _volume_options(volume: str, options: Mapping[str, str]) -> dict[str, str]:
    """What a volume is made with that isn't there yet. Raises InvalidParameter."""
    try:
        check_local_options(options)
    except InvalidParameter as error:
        raise InvalidParameter(f"create {volume}: {error}" if volume else str(error)) from None
    return dict(options)


def _shown_mode(spec: MountSpec) -> str:
    """The `Mode` of inspect: a Binds text's own, else Docker's relabelling default for volumes that were asked for."""
    return spec.mode or ("z" if spec.kind == "volume" else "")


def _recursive_read_only(spec: MountSpec) -> Literal["", "never", "always"]:
    """What happens to the mounts below. Raises InvalidParameter for options against each other."""
    bind = spec.bind
    if bind.read_only_force_recursive and not spec.read_only:
        raise InvalidParameter("mount options conflict: !ReadOnly && BindOptions.ReadOnlyForceRecursive")
    if bind.read_only_force_recursive and bind.read_only_non_recursive:
        raise InvalidParameter("mount options conflict: ReadOnlyNonRecursive && BindOptions.ReadOnlyForceRecursive")
    return _READ_ONLY_MODES[bind.read_only_non_recursive, bind.read_only_force_recursive]


def restart(host: HostConfig) -> RestartPolicy:
    """The restart policy, checked before."""
    name = cast(Literal["no", "always", "unless-stopped", "on-failure"], host.restart_policy.name or "no")
    return RestartPolicy(name=name, max_retries=host.restart_policy.maximum_retry_count)
