"""The OCI process of an exec: the container's own, with what the exec asks for otherwise. Pure."""

from collections.abc import Collection
from typing import Any

from seaway_agent.oci import capabilities
from seaway_agent.oci import spec as oci
from seaway_contracts.containers import ContainerSpec
from seaway_contracts.execs import ExecSpec

Json = dict[str, Any]
_HOSTNAME = "HOSTNAME="


def process_of(first: Json, spec: ContainerSpec, asked: ExecSpec, user: oci.User, grantable: Collection[str]) -> Json:
    """The process for `exec --process`. `first` is the container's own.

    A privileged exec has all capabilities that this node can grant; seccomp and AppArmor stay the container's, as in
    Docker.
    """
    process: Json = dict(first)
    process["args"] = list(asked.args)
    process["terminal"] = asked.tty
    process["env"] = _environment(process, spec, asked, user)
    process["cwd"] = asked.workdir or spec.command.workdir or "/"
    groups = list(dict.fromkeys((user.gid, *user.groups)))
    process["user"] = {"uid": user.uid, "gid": user.gid, "additionalGids": groups}
    if asked.tty and asked.height and asked.width:
        process["consoleSize"] = {"height": asked.height, "width": asked.width}
    if asked.privileged:
        caps = [name for name in capabilities.ALL if name in grantable]
        process["capabilities"] = {"bounding": caps, "effective": caps, "permitted": caps}
    return process


def _environment(process: Json, spec: ContainerSpec, asked: ExecSpec, user: oci.User) -> list[str]:
    """The container's, as it is for this user and terminal, then the exec's own."""
    command = spec.command.model_copy(update={"tty": asked.tty, "env": (*spec.command.env, *asked.env)})
    named = [item for item in process.get("env", ()) if item.startswith(_HOSTNAME)]
    hostname = named[0].removeprefix(_HOSTNAME) if named else ""
    options = oci.SpecOptions(rootfs="", cgroups_path="", hostname=hostname, user=user)
    return oci.environment(spec.model_copy(update={"command": command}), options)
