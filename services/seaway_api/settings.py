"""Settings of the API service."""

from pathlib import Path
from typing import Final

from pydantic import Field, field_validator, model_validator

from seaway_kit.addresses import TCP, UNIX, check_host, split_address
from seaway_kit.settings import ServiceSettings

OWN_BUILDER: Final = "own"
NO_BUILDER: Final = "none"


class ApiSettings(ServiceSettings):
    """Seaway's API service: serves the Docker Engine API."""

    host: tuple[str, ...] = Field((), description="where to listen: unix://PATH or tcp://ADDRESS:PORT")
    socket_group: str = Field("docker", description="group that may use the unix socket, where it exists")
    tls_cert: Path | None = Field(None, description="certificate of the TCP endpoint (PEM)")
    tls_key: Path | None = Field(None, description="its key (PEM)")
    tls_ca: Path | None = Field(None, description="CA that clients' certificates must be signed by (PEM)")
    behind_proxy: bool = Field(
        False, description="unix sockets are reached by a proxy at TCP: refuse foreign Host and Origin there too"
    )
    max_body: int = Field(8 << 20, gt=0, description="largest JSON body in bytes")
    buildkit: str = Field(
        OWN_BUILDER, description="BuildKit for builds: unix://PATH or tcp://HOST:PORT, own (a container), or none"
    )
    buildkit_image: str = Field(
        "docker.io/moby/buildkit:v0.13.2", description="image of the builder's container, with --buildkit own"
    )
    buildkit_cache: int = Field(
        20_000_000_000, ge=0, description="bytes of cache that the builder's container keeps, with --buildkit own"
    )

    @property
    def hosts(self) -> tuple[str, ...]:
        """Where to listen; by default a unix socket in the run directory."""
        return self.host or (f"{UNIX}{self.run / 'docker.sock'}",)

    @property
    def tls(self) -> bool:
        """Whether TCP endpoints speak TLS."""
        return self.tls_cert is not None

    @property
    def verified(self) -> bool:
        """Whether clients of TCP endpoints need a certificate."""
        return self.tls and self.tls_ca is not None

    @field_validator("buildkit")
    @classmethod
    def _usable_builder(cls, place: str) -> str:
        if place.startswith(TCP):
            split_address(place.removeprefix(TCP))
        elif place not in (OWN_BUILDER, NO_BUILDER) and not place.startswith(f"{UNIX}/"):
            raise ValueError(f"{place!r}: write unix:///PATH, tcp://HOST:PORT, {OWN_BUILDER} or {NO_BUILDER}")
        return place

    @model_validator(mode="after")
    def _whole_tls(self) -> "ApiSettings":
        if (self.tls_cert is None) != (self.tls_key is None):
            raise ValueError("tls_cert and tls_key belong together: give both")
        if self.tls_ca is not None and self.tls_cert is None:
            raise ValueError("tls_ca needs tls_cert and tls_key: give all three")
        return self

    @model_validator(mode="after")
    def _usable_hosts(self) -> "ApiSettings":
        for host in self.host:
            self.check_host(host)
        return self

    def check_host(self, host: str) -> None:
        """Raise ValueError for an endpoint that can't be, or that these settings would open to anybody."""
        check_host(host, verified=self.verified, needs="--tls-cert, --tls-key and --tls-ca")
