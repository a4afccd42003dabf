"""Settings of the image service."""

from pathlib import Path

from pydantic import Field, field_validator

from seaway_image.registry.endpoints import RegistrySettings, mirrors_by_registry
from seaway_kit.addresses import split_address
from seaway_kit.settings import ServiceSettings


class ImageSettings(ServiceSettings):
    """Seaway's image service: registries, image names, blobs for the agents."""

    http: str = Field("127.0.0.1:0", description="where blobs are served; port 0 is any free one")
    http_url: str = Field("", description="how agents reach that address; needed where it is 0.0.0.0 or behind a proxy")
    http_cert: Path | None = Field(None, description="certificate (PEM) of that address; without, it speaks plain HTTP")
    http_key: Path | None = Field(None, description="its key (PEM)")
    registry_mirror: tuple[str, ...] = Field((), description="REGISTRY=URL: a mirror; a URL alone is Docker Hub's")
    insecure_registry: tuple[str, ...] = Field((), description="registry without good TLS: host, host:port or CIDR")
    max_concurrent_uploads: int = Field(5, ge=1, le=64, description="layers that are pushed to registries at once")
    registry_certs: Path = Field(
        Path("/etc/docker/certs.d"), description="certificates for registries: HOST[:PORT]/*.crt, *.cert, *.key"
    )

    @property
    def registries(self) -> RegistrySettings:
        """What the registry client is told."""
        return RegistrySettings(self.registry_mirror, self.insecure_registry)

    @field_validator("http")
    @classmethod
    def _http_is_address(cls, value: str) -> str:
        split_address(value)
        return value

    @field_validator("registry_mirror")
    @classmethod
    def _mirrors_are_urls(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        mirrors_by_registry(value)
        return value
