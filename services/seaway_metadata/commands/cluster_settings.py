"""Serves changes of the cluster's settings, and publishes them."""

import time
from collections.abc import Callable

from seaway_bus.bus import Bus, Command
from seaway_bus.outbox import Outbox
from seaway_contracts.catalogue import CLUSTER_UPDATE, UPDATE_CLUSTER
from seaway_contracts.lifecycle import CLUSTER as WHOLE
from seaway_contracts.lifecycle import Envelope
from seaway_contracts.node_settings import ClusterSettings, ClusterSettingsReply, ClusterUpdated, UpdateCluster
from seaway_metadata.commands.reachable import reachable
from seaway_metadata.kinds.cluster_settings import KEY, changed_cluster, check_cluster_update, cluster_differences
from seaway_metadata.store.written import WrittenTable


class ClusterCommands:
    """Serves `cluster.update`."""

    def __init__(self, table: WrittenTable[ClusterSettings], outbox: Outbox, missing: Callable[[], None]) -> None:
        """`missing` is called when the buckets are not there."""
        self.table = table
        self._outbox = outbox
        self._missing = missing

    async def serve(self, bus: Bus) -> None:
        """Begin to answer."""
        await bus.serve(UPDATE_CLUSTER, self.update)

    def known(self) -> ClusterSettings:
        """The settings as far as this copy has heard."""
        return self.table.index.get(KEY) or ClusterSettings()

    async def update(self, request: UpdateCluster, command: Command) -> ClusterSettingsReply:
        """Raises SeawayError: BAD_REQUEST."""
        check_cluster_update(request)
        before = self.known()

        def changing(found: ClusterSettings) -> ClusterSettings:
            nonlocal before
            before = found
            return changed_cluster(found, request, command.id)

        with reachable(self._missing):
            while (after := await self.table.change(KEY, changing)) is None:
                await self.table.register(before)
        if after.command == command.id:  # also if an earlier try of the command has made the change
            self._tell(before, after, command)
        return ClusterSettingsReply(settings=after)

    def heard(self, body: object) -> None:
        """The settings were changed. The bucket is read unless they are known here."""
        if not isinstance(body, ClusterUpdated) or self.known().version < body.settings.version:
            self.table.heard(KEY)

    def _tell(self, before: ClusterSettings, after: ClusterSettings, command: Command) -> None:
        envelope = Envelope(
            id=f"cluster-update-{after.version}-{after.command}",
            node=WHOLE,
            noun=CLUSTER_UPDATE.noun,
            action=CLUSTER_UPDATE.action,
            subject_id=KEY,
            time_ns=time.time_ns(),
            cause=command.id,
            actor=command.actor,
        )
        body = ClusterUpdated(kind=KEY, settings=after, attributes=cluster_differences(before, after))
        self._outbox.tell(CLUSTER_UPDATE, envelope, body)
