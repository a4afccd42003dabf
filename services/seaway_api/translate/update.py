"""The bodies of update and rename. Pure."""

from seaway_api.translate.check_limits import check_resources
from seaway_api.translate.checks import check_restart
from seaway_contracts.commands import UpdateContainer
from seaway_contracts.containers import Resources, RestartPolicy
from seaway_docker.errors import NAMES_EMPTY, RENAME_TO_SAME, InvalidParameter
from seaway_docker.model_container import ContainerUpdate
from seaway_docker.names import container_name


def asked_changes(identifier: str, body: ContainerUpdate) -> UpdateContainer:
    """What a body changes. Raises InvalidParameter. Other limits of it can't be changed and are passed over."""
    alone = body.memory == 0 and body.memory_swap > 0
    check_resources(body.model_copy(update={"memory_swap": 0}) if alone else body)
    return UpdateContainer(id=identifier, limits=_limits(body), restart=_policy(body))


def _limits(body: ContainerUpdate) -> Resources:
    return Resources(
        memory=body.memory,
        memory_swap=body.memory_swap,
        memory_reservation=body.memory_reservation,
        nano_cpus=body.nano_cpus,
        cpu_shares=body.cpu_shares,
        cpu_period=body.cpu_period,
        cpu_quota=body.cpu_quota,
        cpuset_cpus=body.cpuset_cpus,
        cpuset_mems=body.cpuset_mems,
        cpu_realtime_period=body.cpu_realtime_period,
        cpu_realtime_runtime=body.cpu_realtime_runtime,
        pids_limit=body.pids_limit,
        blkio_weight=body.blkio_weight,
    )


def _policy(body: ContainerUpdate) -> RestartPolicy | None:
    asked = body.restart_policy
    if asked is None or not asked.name:
        return None
    check_restart(asked)
    return RestartPolicy.model_validate({"name": asked.name, "max_retries": asked.maximum_retry_count})


def new_name(given: str, present: str) -> str:
    """The name to give, checked in Docker's words. Raises InvalidParameter."""
    if not given:
        raise InvalidParameter(NAMES_EMPTY)
    if given.removeprefix("/") == present:
        raise InvalidParameter(RENAME_TO_SAME)
    try:
        return container_name("/" + given.removeprefix("/"))
    except InvalidParameter as error:
        raise InvalidParameter(f"Error when allocating new name: {error}") from error
