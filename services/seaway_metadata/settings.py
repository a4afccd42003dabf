"""What the metadata service is told."""

from pathlib import Path

from seaway_kit.settings import ServiceSettings


class MetadataSettings(ServiceSettings):
    """The cluster's records: containers, names, nodes."""

    @property
    def outbox(self) -> Path:
        """Events of nodes that the stream doesn't have yet."""
        return self.root / "metadata" / "outbox.db"
