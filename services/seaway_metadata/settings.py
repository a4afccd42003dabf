"""What the metadata service is told."""

from pathlib import Path

from pydantic import Field, field_validator

from seaway_kit.settings import ServiceSettings
from seaway_metadata.kinds.subnets import DEFAULT_POOLS, DefaultPool, parse_pool


class MetadataSettings(ServiceSettings):
    """The cluster's records: containers, names, nodes, networks."""

    replicas: int = Field(1, ge=1, le=5, description="copies of what is stored, in a cluster of NATS servers")

    default_address_pool: tuple[str, ...] = Field(
        (),
        description="base=SUBNET,size=BITS: networks get their subnets from it (repeatable)",
    )

    node_keys: Path | None = Field(
        None, description="file for the public keys of nodes that joined by tokens, which NATS is to let in"
    )
    supervisor: Path | None = Field(
        None, description="socket of the supervisor, which is asked to reload NATS when that file has changed"
    )

    @field_validator("default_address_pool")
    @classmethod
    def _are_pools(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for text in value:
            parse_pool(text)
        return value

    @property
    def default_pools(self) -> tuple[DefaultPool, ...]:
        """Those, or Docker's."""
        return tuple(map(parse_pool, self.default_address_pool)) or DEFAULT_POOLS

    @property
    def outbox(self) -> Path:
        """Events of nodes that the stream doesn't have yet."""
        return self.root / "metadata" / "outbox.db"
