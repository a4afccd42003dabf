"""Request body of volume create (API 1.45 to 1.47)."""

from typing import Any

from pydantic import Field

from seaway_docker.go_json import GoModel


class VolumeCreate(GoModel):
    """`POST /volumes/create`; an empty name asks for a generated one."""

    name: str = Field("", alias="Name")
    driver: str = Field("", alias="Driver")
    driver_opts: dict[str, str] | None = Field(None, alias="DriverOpts")
    labels: dict[str, str] | None = Field(None, alias="Labels")
    cluster_volume_spec: dict[str, Any] | None = Field(None, alias="ClusterVolumeSpec")
