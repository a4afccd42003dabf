"""A Docker body's own command and probe; what they leave open comes from the image. Pure."""

from seaway_api.translate.execs import console_size
from seaway_contracts.containers import Command
from seaway_contracts.images import Healthcheck
from seaway_docker.model_container import ContainerCreate, HealthConfig
from seaway_docker.mount_checks import normal_path


def own_command(body: ContainerCreate) -> Command:
    """What a body says of what runs. The shell is the user's alone: Docker's merge leaves the image's to builds."""
    height, width = console_size(body.host_config.console_size)
    return Command(
        entrypoint=None if body.entrypoint is None else tuple(body.entrypoint),
        cmd=None if body.cmd is None else tuple(body.cmd),
        env=tuple(body.env or ()),
        workdir=normal_path(body.working_dir) if body.working_dir else "",
        user=body.user,
        tty=body.tty,
        height=height,
        width=width,
        open_stdin=body.open_stdin,
        stdin_once=body.stdin_once,
        attach_stdin=body.attach_stdin,
        attach_stdout=body.attach_stdout,
        attach_stderr=body.attach_stderr,
        stop_signal=body.stop_signal,
        stop_timeout=body.stop_timeout,
        init=bool(body.host_config.init),
        shell=tuple(body.shell or ()),
    )


def own_health(asked: HealthConfig | None) -> Healthcheck | None:
    """What a body says of the probe; None where it says nothing."""
    if asked is None:
        return None
    return Healthcheck(
        test=tuple(asked.test or ()),
        interval_ns=asked.interval,
        timeout_ns=asked.timeout,
        start_period_ns=asked.start_period,
        start_interval_ns=asked.start_interval,
        retries=asked.retries,
    )
