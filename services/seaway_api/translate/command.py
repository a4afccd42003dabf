"""The user's container config over the image's (moby daemon/commit.go `merge`, runconfig). Pure."""

from collections.abc import Iterable, Sequence

from seaway_api.translate.execs import console_size
from seaway_contracts.containers import Command
from seaway_contracts.images import Healthcheck, ImageConfig
from seaway_docker.errors import NO_COMMAND, InvalidParameter
from seaway_docker.model_container import ContainerConfig, HealthConfig
from seaway_docker.model_host import HostConfig
from seaway_docker.mount_checks import normal_path

Args = tuple[str, ...] | None


def merged_command(config: ContainerConfig, host: HostConfig, image: ImageConfig) -> Command:
    """What runs. Raises InvalidParameter (400) when neither user nor image says what."""
    entrypoint, cmd = merged_args(config, image)
    height, width = console_size(host.console_size)
    return Command(
        entrypoint=entrypoint,
        cmd=cmd,
        env=merged_env(config.env or (), image.env),
        workdir=normal_path(config.working_dir) if config.working_dir else image.workdir,
        user=config.user or image.user,
        tty=config.tty,
        height=height,
        width=width,
        open_stdin=config.open_stdin,
        stdin_once=config.stdin_once,
        attach_stdin=config.attach_stdin,
        attach_stdout=config.attach_stdout,
        attach_stderr=config.attach_stderr,
        stop_signal=config.stop_signal or image.stop_signal,
        stop_timeout=config.stop_timeout,
        init=bool(host.init),
        shell=tuple(config.shell or ()),
    )


def merged_args(config: ContainerConfig, image: ImageConfig) -> tuple[Args, Args]:
    """Entrypoint and cmd: a user's entrypoint discards the image's cmd; `[""]` is no entrypoint."""
    entrypoint = None if config.entrypoint is None else tuple(config.entrypoint)
    cmd = None if config.cmd is None else tuple(config.cmd)
    if not entrypoint:
        cmd = cmd or image.cmd
        entrypoint = image.entrypoint if entrypoint is None else entrypoint
    if entrypoint == ("",):
        entrypoint = None
    if not entrypoint and not cmd:
        raise InvalidParameter(NO_COMMAND)
    return entrypoint, cmd


def merged_env(user: Sequence[str], image: Iterable[str]) -> tuple[str, ...]:
    """The user's variables, then those of the image that the user doesn't set, as Docker shows them in `Config.Env`."""
    given = {item.partition("=")[0] for item in user}
    return (*user, *(item for item in image if item.partition("=")[0] not in given))


def merged_health(health: HealthConfig | None, image: Healthcheck | None) -> Healthcheck | None:
    """The probe; what the user leaves open comes from the image."""
    if health is None:
        return image
    base = image or Healthcheck()
    return Healthcheck(
        test=tuple(health.test or ()) or base.test,
        interval_ns=health.interval or base.interval_ns,
        timeout_ns=health.timeout or base.timeout_ns,
        start_period_ns=health.start_period or base.start_period_ns,
        start_interval_ns=health.start_interval or base.start_interval_ns,
        retries=health.retries or base.retries,
    )
