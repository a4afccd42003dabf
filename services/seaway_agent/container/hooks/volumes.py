"""A container's volumes."""

from seaway_agent.container.hook import RunRequest
from seaway_agent.layout import Layout
from seaway_agent.oci.mounts import HostMount
from seaway_agent.runtime.contribution import Contribution
from seaway_agent.runtime.runtimes import Runtimes, recursive_read_only
from seaway_agent.volumes.mounts import VolumeMount, VolumeMounts


class VolumesHook:
    """Mounts the volumes; of a volume's subpath a copy of the mount hangs below the bundle meanwhile."""

    def __init__(self, volumes: VolumeMounts, runtimes: Runtimes, layout: Layout) -> None:
        self._volumes = volumes
        self._runtimes = runtimes
        self._layout = layout

    def prepare(self, request: RunRequest, before: Contribution) -> Contribution:
        """See `Hook.prepare`."""
        spec, bundle = request.spec, self._layout.bundle(request.spec.id)
        rro = recursive_read_only(self._runtimes.find(spec.runtime)[0])
        mounts = tuple(
            HostMount(
                str(bundle / volume.attachment if volume.attachment else volume.source), volume.target, _options(volume)
            )
            for volume in self._volumes.of(spec, rro=rro)
        )
        return Contribution(mounts=mounts, attachments=self._volumes.attachments(spec))


def _options(volume: VolumeMount) -> tuple[str, ...]:
    read_only = ("rro" if volume.recursively else "ro",) if volume.read_only else ()
    return tuple(dict.fromkeys(("rbind", "rprivate", *read_only, *volume.options)))
