"""The small init process of `--init`."""

from seaway_agent.container.hook import RunRequest
from seaway_agent.oci.mounts import HostMount
from seaway_agent.runtime.contribution import Contribution


class InitHook:
    """`program` on the node; create refuses `--init` where it is empty."""

    def __init__(self, program: str) -> None:
        self._program = program

    def prepare(self, request: RunRequest, before: Contribution) -> Contribution:
        """See `Hook.prepare`."""
        if not request.spec.command.init:
            return Contribution()
        return Contribution(mounts=(HostMount(self._program, "/sbin/docker-init", ("bind", "ro")),))
