"""HostConfig of container create and update (Docker Engine API 1.45 to 1.48). Sizes in bytes, CPU in 1e-9 cores."""

from pydantic import Field

from seaway_docker.go_json import GoModel, Int64, StrSlice, Uint16, Uint32, Uint64


class RestartPolicy(GoModel):
    name: str = Field("", alias="Name")
    maximum_retry_count: Int64 = Field(0, alias="MaximumRetryCount")


class PortBinding(GoModel):
    """`HostPort` is a number or a range as text; empty for any free port."""

    host_ip: str = Field("", alias="HostIp")
    host_port: str = Field("", alias="HostPort")


class LogConfig(GoModel):
    type: str = Field("", alias="Type")
    config: dict[str, str] | None = Field(None, alias="Config")


class WeightDevice(GoModel):
    path: str = Field("", alias="Path")
    weight: Uint16 = Field(0, alias="Weight")


class ThrottleDevice(GoModel):
    """`rate` in bytes or operations per second."""

    path: str = Field("", alias="Path")
    rate: Uint64 = Field(0, alias="Rate")


class DeviceMapping(GoModel):
    path_on_host: str = Field("", alias="PathOnHost")
    path_in_container: str = Field("", alias="PathInContainer")
    cgroup_permissions: str = Field("", alias="CgroupPermissions")


class DeviceRequest(GoModel):
    driver: str = Field("", alias="Driver")
    count: Int64 = Field(0, alias="Count")
    device_ids: list[str] | None = Field(None, alias="DeviceIDs")
    capabilities: list[list[str]] | None = Field(None, alias="Capabilities")
    options: dict[str, str] | None = Field(None, alias="Options")


class Ulimit(GoModel):
    name: str = Field("", alias="Name")
    soft: Int64 = Field(0, alias="Soft")
    hard: Int64 = Field(0, alias="Hard")


class BindOptions(GoModel):
    omit_empty = frozenset(
        (
            "Propagation",
            "NonRecursive",
            "CreateMountpoint",
            "ReadOnlyNonRecursive",
            "ReadOnlyForceRecursive",
        )
    )

    propagation: str = Field("", alias="Propagation")
    non_recursive: bool = Field(False, alias="NonRecursive")
    create_mountpoint: bool = Field(False, alias="CreateMountpoint")
    read_only_non_recursive: bool = Field(False, alias="ReadOnlyNonRecursive")
    read_only_force_recursive: bool = Field(False, alias="ReadOnlyForceRecursive")


class DriverConfig(GoModel):
    omit_empty = frozenset(
        (
            "Name",
            "Options",
        )
    )

    name: str = Field("", alias="Name")
    options: dict[str, str] | None = Field(None, alias="Options")


class VolumeOptions(GoModel):
    omit_empty = frozenset(
        (
            "NoCopy",
            "Labels",
            "Subpath",
            "DriverConfig",
        )
    )

    no_copy: bool = Field(False, alias="NoCopy")
    labels: dict[str, str] | None = Field(None, alias="Labels")
    subpath: str = Field("", alias="Subpath")
    driver_config: DriverConfig | None = Field(None, alias="DriverConfig")


class TmpfsOptions(GoModel):
    """`options` since API 1.46: [["noexec"], ["uid", "5"]]."""

    omit_empty = frozenset(
        (
            "SizeBytes",
            "Mode",
            "Options",
        )
    )

    size_bytes: Int64 = Field(0, alias="SizeBytes")
    mode: Uint32 = Field(0, alias="Mode")
    options: list[list[str]] | None = Field(None, alias="Options")


class ImageOptions(GoModel):
    """Since API 1.48."""

    omit_empty = frozenset(("Subpath",))

    subpath: str = Field("", alias="Subpath")


class Mount(GoModel):
    omit_empty = frozenset(
        (
            "Type",
            "Source",
            "Target",
            "ReadOnly",
            "Consistency",
            "BindOptions",
            "VolumeOptions",
            "ImageOptions",
            "TmpfsOptions",
        )
    )

    type: str = Field("", alias="Type")
    source: str = Field("", alias="Source")
    target: str = Field("", alias="Target")
    read_only: bool = Field(False, alias="ReadOnly")
    consistency: str = Field("", alias="Consistency")
    bind_options: BindOptions | None = Field(None, alias="BindOptions")
    volume_options: VolumeOptions | None = Field(None, alias="VolumeOptions")
    image_options: ImageOptions | None = Field(None, alias="ImageOptions")
    tmpfs_options: TmpfsOptions | None = Field(None, alias="TmpfsOptions")


class Resources(GoModel):
    """Limits that can also be changed by update."""

    omit_empty = frozenset(("KernelMemoryTCP",))

    cpu_shares: Int64 = Field(0, alias="CpuShares")
    memory: Int64 = Field(0, alias="Memory")
    nano_cpus: Int64 = Field(0, alias="NanoCpus")
    cgroup_parent: str = Field("", alias="CgroupParent")
    blkio_weight: Uint16 = Field(0, alias="BlkioWeight")
    blkio_weight_device: list[WeightDevice] | None = Field(None, alias="BlkioWeightDevice")
    blkio_device_read_bps: list[ThrottleDevice] | None = Field(None, alias="BlkioDeviceReadBps")
    blkio_device_write_bps: list[ThrottleDevice] | None = Field(None, alias="BlkioDeviceWriteBps")
    blkio_device_read_iops: list[ThrottleDevice] | None = Field(None, alias="BlkioDeviceReadIOps")
    blkio_device_write_iops: list[ThrottleDevice] | None = Field(None, alias="BlkioDeviceWriteIOps")
    cpu_period: Int64 = Field(0, alias="CpuPeriod")
    cpu_quota: Int64 = Field(0, alias="CpuQuota")
    cpu_realtime_period: Int64 = Field(0, alias="CpuRealtimePeriod")
    cpu_realtime_runtime: Int64 = Field(0, alias="CpuRealtimeRuntime")
    cpuset_cpus: str = Field("", alias="CpusetCpus")
    cpuset_mems: str = Field("", alias="CpusetMems")
    devices: list[DeviceMapping] | None = Field(None, alias="Devices")
    device_cgroup_rules: list[str] | None = Field(None, alias="DeviceCgroupRules")
    device_requests: list[DeviceRequest] | None = Field(None, alias="DeviceRequests")
    kernel_memory_tcp: Int64 = Field(0, alias="KernelMemoryTCP")
    memory_reservation: Int64 = Field(0, alias="MemoryReservation")
    memory_swap: Int64 = Field(0, alias="MemorySwap")
    memory_swappiness: Int64 | None = Field(None, alias="MemorySwappiness")
    oom_kill_disable: bool | None = Field(None, alias="OomKillDisable")
    pids_limit: Int64 | None = Field(None, alias="PidsLimit")
    ulimits: list[Ulimit] | None = Field(None, alias="Ulimits")
    cpu_count: Int64 = Field(0, alias="CpuCount")
    cpu_percent: Int64 = Field(0, alias="CpuPercent")
    io_maximum_iops: Uint64 = Field(0, alias="IOMaximumIOps")
    io_maximum_bandwidth: Uint64 = Field(0, alias="IOMaximumBandwidth")


class HostConfig(Resources):
    """What depends on the host: mounts, ports, limits, isolation."""

    omit_empty = frozenset(
        (
            "KernelMemoryTCP",
            "Annotations",
            "StorageOpt",
            "Mounts",
            "Tmpfs",
            "Sysctls",
            "Runtime",
            "Init",
        )
    )

    binds: list[str] | None = Field(None, alias="Binds")
    container_id_file: str = Field("", alias="ContainerIDFile")
    log_config: LogConfig = Field(default_factory=LogConfig, alias="LogConfig")
    network_mode: str = Field("", alias="NetworkMode")
    port_bindings: dict[str, list[PortBinding] | None] | None = Field(None, alias="PortBindings")
    restart_policy: RestartPolicy = Field(default_factory=RestartPolicy, alias="RestartPolicy")
    auto_remove: bool = Field(False, alias="AutoRemove")
    volume_driver: str = Field("", alias="VolumeDriver")
    volumes_from: list[str] | None = Field(None, alias="VolumesFrom")
    mounts: list[Mount] | None = Field(None, alias="Mounts")
    console_size: list[Uint64] | None = Field(None, alias="ConsoleSize", max_length=2)
    annotations: dict[str, str] | None = Field(None, alias="Annotations")
    cap_add: StrSlice | None = Field(None, alias="CapAdd")
    cap_drop: StrSlice | None = Field(None, alias="CapDrop")
    cgroupns_mode: str = Field("", alias="CgroupnsMode")
    dns: list[str] | None = Field(None, alias="Dns")
    dns_options: list[str] | None = Field(None, alias="DnsOptions")
    dns_search: list[str] | None = Field(None, alias="DnsSearch")
    extra_hosts: list[str] | None = Field(None, alias="ExtraHosts")
    group_add: list[str] | None = Field(None, alias="GroupAdd")
    ipc_mode: str = Field("", alias="IpcMode")
    cgroup: str = Field("", alias="Cgroup")
    links: list[str] | None = Field(None, alias="Links")
    oom_score_adj: Int64 = Field(0, alias="OomScoreAdj")
    pid_mode: str = Field("", alias="PidMode")
    privileged: bool = Field(False, alias="Privileged")
    publish_all_ports: bool = Field(False, alias="PublishAllPorts")
    readonly_rootfs: bool = Field(False, alias="ReadonlyRootfs")
    security_opt: list[str] | None = Field(None, alias="SecurityOpt")
    storage_opt: dict[str, str] | None = Field(None, alias="StorageOpt")
    tmpfs: dict[str, str] | None = Field(None, alias="Tmpfs")
    uts_mode: str = Field("", alias="UTSMode")
    userns_mode: str = Field("", alias="UsernsMode")
    shm_size: Int64 = Field(0, alias="ShmSize")
    sysctls: dict[str, str] | None = Field(None, alias="Sysctls")
    runtime: str = Field("", alias="Runtime")
    init: bool | None = Field(None, alias="Init")
    isolation: str = Field("", alias="Isolation")
    masked_paths: list[str] | None = Field(None, alias="MaskedPaths")
    readonly_paths: list[str] | None = Field(None, alias="ReadonlyPaths")
