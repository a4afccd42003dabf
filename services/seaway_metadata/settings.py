"""What the metadata service is told."""

from pathlib import Path

from pydantic import Field

from seaway_kit.settings import ServiceSettings


class MetadataSettings(ServiceSettings):
    """The cluster's records: containers, names, nodes."""

    replicas: int = Field(1, ge=1, le=5, description="copies of what is stored, in a cluster of NATS servers")

    @property
    def outbox(self) -> Path:
        """Events of nodes that the stream doesn't have yet."""
        return self.root / "metadata" / "outbox.db"
