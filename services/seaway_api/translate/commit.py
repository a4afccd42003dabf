"""From a container and the body of `POST /commit` to what the new image is to be like. Pure."""

from collections.abc import Sequence

from seaway_api.translate.asked import asked_config
from seaway_api.translate.request import own_health
from seaway_contracts.archives import ImageOrder
from seaway_contracts.containers import Command, ContainerRecord, ContainerSpec
from seaway_contracts.images import FormerContainer, ImageConfig
from seaway_docker.model_container import ContainerConfig


def image_order(
    record: ContainerRecord,
    body: ContainerConfig | None,
    *,
    changes: Sequence[str],
    target: str,
    author: str,
    comment: str,
) -> ImageOrder:
    """The body's config, where there is one, over the container's own."""
    own = config_of(record.spec)
    return ImageOrder(
        image=record.spec.image.id,
        config=own if body is None else config_from(body),
        container=own,
        changes=tuple(changes),
        target=target,
        author=author,
        comment=comment,
        created_by=" ".join(record.spec.command.cmd or ()),
    )


def config_of(spec: ContainerSpec) -> ImageConfig:
    """What an image can carry of a container's config."""
    command, asked = spec.command, asked_config(spec)
    return ImageConfig(
        env=command.env,
        entrypoint=command.entrypoint,
        cmd=command.cmd,
        workdir=command.workdir,
        user=command.user,
        labels=spec.labels,
        exposed_ports=spec.network.exposed_ports,
        volumes=spec.image_volumes,
        stop_signal=command.stop_signal,
        shell=tuple(asked.get("Shell") or ()) or None,
        healthcheck=spec.healthcheck,
        on_build=tuple(asked.get("OnBuild") or ()),
        args_escaped=asked.get("ArgsEscaped", False),
        former=_former(command),
    )


def _former(given: Command | ContainerConfig) -> FormerContainer:
    """What Docker writes into an image of the container's own."""
    return FormerContainer(
        attach_stdin=given.attach_stdin,
        attach_stdout=given.attach_stdout,
        attach_stderr=given.attach_stderr,
        tty=given.tty,
        open_stdin=given.open_stdin,
        stdin_once=given.stdin_once,
    )


def config_from(body: ContainerConfig) -> ImageConfig:
    """The config that a client gave."""
    return ImageConfig(
        env=tuple(body.env or ()),
        entrypoint=None if body.entrypoint is None else tuple(body.entrypoint),
        cmd=None if body.cmd is None else tuple(body.cmd),
        workdir=body.working_dir,
        user=body.user,
        labels=body.labels or {},
        exposed_ports=tuple(body.exposed_ports or ()),
        volumes=tuple(body.volumes or ()),
        stop_signal=body.stop_signal,
        shell=None if body.shell is None else tuple(body.shell),
        healthcheck=own_health(body.healthcheck),
        on_build=tuple(body.on_build or ()),
        args_escaped=body.args_escaped,
        former=_former(body),
    )
