"""What a run of a container is made of: a list of hooks, each with one concern in one file.

    prepare, in order ──► the runtime creates the run ──► created ──► it runs … ends ──► undo, in reverse order

A hook's `prepare` returns its contribution to the run, frozen, and sees what the hooks before it have contributed.
Where it raises, it and the hooks before it are undone. `undo` knows nothing but the container's id, the disk and the
kernel: the same one serves a launch that failed, a teardown, and recovery, where an earlier agent's memory is gone.
"""

import asyncio
import logging
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final, Protocol

from seaway_agent.network.errors import NetworkError
from seaway_agent.runtime.contribution import Contribution
from seaway_agent.runtime.run import ContainerRun
from seaway_contracts.containers import ContainerRecord, ContainerSpec
from seaway_contracts.errors import SeawayError, internal
from seaway_kit import tracing
from seaway_kit.failpoints import Failpoint, reach

log = logging.getLogger(__name__)
FORESEEN: Final = (SeawayError, NetworkError, OSError, ValueError)
"""What a launch or a teardown may fail of without a bug of ours."""

Peers = Callable[[str], ContainerRecord | None]
"""Another container of this node by its id; None where it isn't there."""


@dataclass(frozen=True)
class RunRequest:
    """Which container is to run; `lowers` are its image's layers, topmost first."""

    spec: ContainerSpec
    lowers: tuple[str, ...]


class Hook:
    """One concern of a run."""

    async def prepare(self, request: RunRequest, before: Contribution) -> Contribution:
        """Make what the run needs. Raises SeawayError, OSError, ValueError; `undo` is called then."""
        raise NotImplementedError

    def created(self, container: str, run: ContainerRun) -> None:
        """The run's first process is there, or was taken over from an earlier agent: it holds what it was given."""

    async def undo(self, container: str) -> None:
        """Give back what `prepare` made, and end what serves the run. Harmless without it, and twice.

        Raises SeawayError, NetworkError, OSError.
        """


class PlanningHook(Protocol):
    """A hook that makes nothing that would have to be undone, but may have to wait for a disk."""

    def prepare(self, request: RunRequest, before: Contribution) -> Contribution:
        """See `Hook.prepare`."""


class Planning(Hook):
    """Several planning hooks as one: in a thread where the container has mounts, as looking for these may block.

    One change of threads for all of them: each costs more than most hooks do.
    """

    def __init__(self, hooks: Sequence[PlanningHook]) -> None:
        self._hooks = hooks

    async def prepare(self, request: RunRequest, before: Contribution) -> Contribution:
        """See the base."""
        if request.spec.mounts:
            return await asyncio.to_thread(self._prepare, request, before)
        return self._prepare(request, before)

    def _prepare(self, request: RunRequest, before: Contribution) -> Contribution:
        parts = Contribution()
        for hook in self._hooks:
            parts += hook.prepare(request, before + parts)
        return parts


class RunHooks:
    """The hooks of all runs on a node, in the order in which they prepare."""

    def __init__(self, hooks: Sequence[Hook]) -> None:
        self._hooks = tuple(hooks)
        self._steps = [f"prepare {_words(type(hook).__name__.removesuffix('Hook'))}" for hook in hooks]
        """What each is called in traces."""

    async def prepare(self, request: RunRequest) -> Contribution:
        """The sum of all contributions. Raises what a hook raises, with nothing left."""
        parts = Contribution()
        for number, hook in enumerate(self._hooks):
            try:
                with tracing.span(self._steps[number]):
                    parts += await hook.prepare(request, parts)
            except Exception:  # cancelled only when the agent ends: its successor undoes what was begun
                if errors := await self._undone(self._hooks[: number + 1], request.spec.id):
                    log.error("container %s: %s", request.spec.id[:12], "; ".join(errors))
                reach(Failpoint.START_DISCONNECTED)
                raise
        return parts

    def created(self, container: str, run: ContainerRun) -> None:
        """The run's first process is there."""
        for hook in self._hooks:
            hook.created(container, run)

    async def undo(self, container: str) -> None:
        """Undo all. Goes on past errors, and raises SeawayError that names what is left."""
        if errors := await self._undone(self._hooks, container):
            raise internal(f"something of the run of container {container[:12]} is left: {'; '.join(errors)}")

    async def _undone(self, hooks: Sequence[Hook], container: str) -> list[str]:
        errors = []
        for hook in reversed(hooks):
            try:
                await hook.undo(container)
            except Exception as error:
                if not isinstance(error, FORESEEN):
                    log.exception("%s can't be undone", type(hook).__name__)
                errors.append(f"{type(hook).__name__}: {error}")
        return errors


def _words(name: str) -> str:
    """`mounted volumes` for `MountedVolumes`."""
    return re.sub(r"(?<=[a-z])(?=[A-Z])", " ", name).lower()
