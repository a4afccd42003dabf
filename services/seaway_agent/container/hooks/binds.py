"""A container's binds of the host's directories and files."""

from seaway_agent.container.hook import RunRequest
from seaway_agent.layout import Layout
from seaway_agent.runtime.contribution import Contribution
from seaway_agent.runtime.runtimes import Runtimes, recursive_read_only
from seaway_agent.volumes import binds


class BindsHook:
    """Makes missing directories where the user asked for that, and refuses what the host doesn't share."""

    def __init__(self, runtimes: Runtimes, layout: Layout) -> None:
        self._runtimes = runtimes
        self._layout = layout

    def prepare(self, request: RunRequest, before: Contribution) -> Contribution:
        """See `Hook.prepare`."""
        spec = request.spec
        binds.check_binds(spec)
        binds.check_propagation(spec)
        rro = recursive_read_only(self._runtimes.find(spec.runtime)[0])
        mounts = binds.bind_mounts(spec, self._layout.bundle(spec.id), rro=rro)
        return Contribution(mounts=mounts, attachments=binds.attachments(spec))
