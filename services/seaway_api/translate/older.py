"""Bodies without what clients of an API version can't mean, as moby 26.1's container router reads them. Pure."""

from typing import Any, Final

from seaway_api.translate.version import ApiVersion
from seaway_docker.model_container import ContainerCreate, ExecCreate, ExecStart
from seaway_docker.model_host import BindOptions, HostConfig, Mount
from seaway_docker.mount_checks import BIND, TMPFS, VOLUME, check_mount

_AUTO_REMOVE_SINCE: Final[ApiVersion] = (1, 25)
_NAMED_OPTIONS_SINCE: Final[ApiVersion] = (1, 25)
_PRIVATE_IPC_SINCE: Final[ApiVersion] = (1, 40)
_CONSOLE_SIZE_SINCE: Final[ApiVersion] = (1, 42)
_OPTIONS_FIT_SINCE: Final[ApiVersion] = (1, 42)
_KERNEL_MEMORY_UNTIL: Final[ApiVersion] = (1, 41)
_ANNOTATIONS_SINCE: Final[ApiVersion] = (1, 43)
_READ_ONLY_BELOW_SINCE: Final[ApiVersion] = (1, 44)


def create_since(version: ApiVersion, body: ContainerCreate) -> ContainerCreate:
    """A create body; one of a client of today is given back as it is."""
    if version >= _READ_ONLY_BELOW_SINCE:
        return body
    changes: dict[str, Any] = {"host_config": _host_since(version, body.host_config)}
    if body.healthcheck is not None:
        changes["healthcheck"] = body.healthcheck.model_copy(update={"start_interval": 0})
    return body.model_copy(update=changes)


def info_since(version: ApiVersion, body: dict[str, Any]) -> dict[str, Any]:
    """What `GET /info` gives: kernel memory; options by their names alone, and a driver that has long been gone."""
    if version > _KERNEL_MEMORY_UNTIL:
        return {key: value for key, value in body.items() if key != "KernelMemory"}
    if version >= _NAMED_OPTIONS_SINCE:
        return body
    names = [option.partition(",")[0].removeprefix("name=") for option in body["SecurityOptions"]]
    return body | {"SecurityOptions": names, "ExecutionDriver": "<not supported>"}


def console_size_since(version: ApiVersion, body: ExecCreate | ExecStart) -> list[int] | None:
    """The size of an exec's terminal."""
    return body.console_size if version >= _CONSOLE_SIZE_SINCE else None


def _host_since(version: ApiVersion, host: HostConfig) -> HostConfig:
    changes: dict[str, Any] = {}
    if host.mounts:
        changes["mounts"] = [_mount_since(version, mount) for mount in host.mounts]
    if version < _ANNOTATIONS_SINCE:
        changes["annotations"] = None
    if version < _CONSOLE_SIZE_SINCE:
        changes["console_size"] = None
    if version < _PRIVATE_IPC_SINCE:
        changes |= {"kernel_memory_tcp": 0, "ipc_mode": host.ipc_mode or "shareable"}
    if version < _AUTO_REMOVE_SINCE:  # such a client removes the container itself
        changes["auto_remove"] = False
    return host.model_copy(update=changes)


def _mount_since(version: ApiVersion, mount: Mount) -> Mount:
    if version < _OPTIONS_FIT_SINCE:
        mount = _with_options_that_count(mount)
    if mount.bind_options is None:
        return mount
    changes = {"read_only_non_recursive": mount.read_only, "read_only_force_recursive": False}
    if version < _CONSOLE_SIZE_SINCE:
        changes["create_mountpoint"] = False
    if version < _PRIVATE_IPC_SINCE:
        changes["non_recursive"] = False
    options: BindOptions = mount.bind_options.model_copy(update=changes)
    return mount.model_copy(update={"bind_options": options})


def _with_options_that_count(mount: Mount) -> Mount:
    """Options for another type of mount: some are refused in other words, some are ignored. Raises InvalidParameter."""
    ignored: dict[str, Any] = {"tmpfs_options": None} if mount.type in (BIND, VOLUME) else {}
    if mount.type == TMPFS:
        ignored = {"volume_options": None}
    mount = mount.model_copy(update=ignored)
    if (mount.bind_options and mount.type != BIND) or (mount.volume_options and mount.type != VOLUME):
        check_mount(mount)
    return mount
