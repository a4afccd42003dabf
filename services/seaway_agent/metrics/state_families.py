"""The families of all containers of a node, whether they run or not. Pure."""

from collections.abc import Iterable
from typing import Final

from seaway_agent.metrics.exposition import Family, Many, Single
from seaway_contracts.containers import ContainerSpec, ContainerStatus, State

_ENDED: Final = frozenset({State.EXITED, State.RESTARTING, State.REMOVING, State.DEAD})
_SECOND_NS: Final = 1_000_000_000
Known = tuple[ContainerSpec, ContainerStatus]


def _state(known: Known) -> Iterable[tuple[str, float]]:
    return ((f'state="{known[1].state}"', 1),)


def _exit_code(known: Known) -> float | None:
    return known[1].exit_code if known[1].state in _ENDED else None


STATE: Final[tuple[Family[Known], ...]] = (
    Many("seaway_container_state", "gauge", "1 for the container's present state.", _state),
    Single(
        "seaway_container_finish_time_seconds",
        "gauge",
        "Last end, in Unix time; only of containers that have ended.",
        lambda k: k[1].finished_ns / _SECOND_NS if k[1].finished_ns else None,
    ),
    Single(
        "seaway_container_exit_code",
        "gauge",
        "Exit code of the last run; only of containers that have ended.",
        _exit_code,
    ),
    Single(
        "seaway_container_oom_killed",
        "gauge",
        "Whether the last run was ended by the OOM killer.",
        lambda k: int(k[1].oom_killed),
    ),
    Single(
        "seaway_container_restarts_total", "counter", "Restarts by the restart policy.", lambda k: k[1].restart_count
    ),
)
