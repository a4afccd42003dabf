"""The cluster's settings: one record, which metadata alone makes and changes. Pure."""

from typing import Final

from seaway_contracts.catalogue import CLUSTER_BUCKET
from seaway_contracts.errors import bad_request
from seaway_contracts.node_settings import ClusterSettings, UpdateCluster
from seaway_metadata.store.kind import Kind

KEY: Final = "cluster"
_MOST_OVERCOMMIT: Final = 100.0


class ClusterSettingsKind(Kind[ClusterSettings]):
    """There is one record, whose key is `cluster`."""

    noun = "cluster"
    bucket = CLUSTER_BUCKET
    model = ClusterSettings
    unstored_is_gone = False

    def key(self, record: ClusterSettings) -> str:
        return KEY

    def newer(self, one: ClusterSettings, other: ClusterSettings) -> bool:
        return one.version > other.version

    def same_request(self, known: ClusterSettings, record: ClusterSettings) -> bool:
        return True


CLUSTER: Final = ClusterSettingsKind()


def changed_cluster(settings: ClusterSettings, request: UpdateCluster, command: str) -> ClusterSettings:
    """The settings after a command; the same object where nothing changes."""
    after = settings.model_copy(update=request.model_dump(exclude_none=True))
    if after == settings:
        return settings
    return after.model_copy(update={"version": settings.version + 1, "command": command})


def check_cluster_update(request: UpdateCluster) -> None:
    """Raise SeawayError (BAD_REQUEST) for an overcommit that makes no sense."""
    for what, number in (("CPU", request.cpu_overcommit), ("memory", request.memory_overcommit)):
        if number is not None and not 0 < number <= _MOST_OVERCOMMIT:
            raise bad_request(
                f"{number} is no overcommit of {what}: use a number above 0, at most {_MOST_OVERCOMMIT:g}"
            )


def cluster_differences(before: ClusterSettings, after: ClusterSettings) -> dict[str, str]:
    """What a change has changed, as attributes of its event."""
    names = ("strategy", "cpu_overcommit", "memory_overcommit")
    return {name: str(getattr(after, name)) for name in names if getattr(before, name) != getattr(after, name)}
