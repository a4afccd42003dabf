"""What the agent can be told."""

from dataclasses import dataclass
from pathlib import Path

from pydantic import Field, field_validator

from seaway_bus.outbox import BOUND
from seaway_contracts.errors import SeawayError
from seaway_contracts.node_settings import check_label
from seaway_kit.addresses import ip_of
from seaway_kit.settings import ServiceSettings


@dataclass(frozen=True)
class BuildLimits:
    """What builds may take of a node: how many run at once, seconds for each, bytes of a context and of the cache."""

    at_once: int = 4
    seconds: float = 4 * 3600.0
    context_bytes: int = 64 << 30
    cache_bytes: int = 20 << 30


class AgentSettings(ServiceSettings):
    """Settings of one node's agent; flags are named after the fields."""

    suite: str = ""
    """Six hex digits that keep bridge, nft table and cgroups apart from other suites'; made once if empty."""
    runtime: str = "crun"
    """The default OCI runtime."""
    subnet: str = ""
    """The default bridge's subnet; a free one is chosen (and kept) if empty."""
    sandboxes: int = 8
    """How many network sandboxes are kept ready."""
    beat_s: float = Field(2.0, gt=0, le=3600)
    """Seconds between heartbeats, at least; the cluster's size may make them fewer."""
    seccomp_profile: Path = Path("/usr/share/containers/seccomp.json")
    """The profile, in Docker's format, from which the default one is derived."""
    address: str = ""
    """The IP address by which other machines reach this node; if empty, that of its interface towards NATS, or of
    its default route."""
    label: tuple[str, ...] = ()
    """Labels of this node (`key=value`), for placement."""
    outbox_bytes: int = Field(BOUND, ge=1 << 16)
    """How many bytes of events may wait for the bus; then nothing new is created, started or executed."""
    metrics_containers: int = 1_000
    """How many containers /metrics shows, those that run first; the rest are counted as dropped."""

    metrics_container_labels: tuple[str, ...] = ("com.docker.compose.project", "com.docker.compose.service")
    """Labels of containers that become labels of their metrics, separated by commas, as `container_label_…`."""

    builds: int = Field(4, ge=1, le=64)
    """How many builds of images run at once; the others wait."""
    build_s: float = Field(4 * 3600.0, gt=0)
    """Seconds after which a build is stopped."""
    build_context_bytes: int = Field(64 << 30, ge=1 << 10)
    """The most bytes that a build's context may unpack to."""
    build_cache_bytes: int = Field(20 << 30, ge=0)
    """The build cache's size, above which its oldest entries are removed."""

    @property
    def build_limits(self) -> BuildLimits:
        """The bounds of builds."""
        return BuildLimits(self.builds, self.build_s, self.build_context_bytes, self.build_cache_bytes)

    @field_validator("metrics_container_labels", mode="before")
    @classmethod
    def _split_at_commas(cls, value: object) -> object:
        given = value if isinstance(value, list | tuple) else [value]
        return tuple(key.strip() for text in given for key in str(text).split(",") if key.strip())

    @field_validator("label")
    @classmethod
    def _labels_of_a_node(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        try:
            for key, _, text in (label.partition("=") for label in value):
                check_label(key, text)
        except SeawayError as error:
            raise ValueError(error.message) from None
        return value

    @field_validator("address")
    @classmethod
    def _address_is_ip(cls, value: str) -> str:
        if value and ip_of(value) is None:
            raise ValueError("give an IP address of this machine, such as 192.0.2.7")
        return value
