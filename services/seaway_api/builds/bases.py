"""The images that a Dockerfile names: found in the store, or pulled there first."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field

from seaway_api.api import Api
from seaway_api.builds.options import auth_of
from seaway_bus.bus import Command
from seaway_contracts import catalogue as cat
from seaway_contracts.builds import BASES, BuildBase
from seaway_contracts.errors import Code, SeawayError
from seaway_contracts.images import ImageRecord, ImageRef, PullRequest, RegistryAuth
from seaway_docker.errors import InvalidParameter
from seaway_docker.references import parse_reference

Progress = Callable[[bytes], Awaitable[None]]


@dataclass(frozen=True)
class BaseFinder:
    """Finds the bases of one build. `pull`: asks their registries even if they are here."""

    api: Api
    auths: Mapping[str, RegistryAuth]
    actor: str
    pull: bool = False
    platform: str = ""
    triggers: dict[str, int] = field(default_factory=dict)
    """How many instructions a base triggers, by its name."""

    async def find(self, name: str, progress: Progress) -> BuildBase:
        """The base; what a pull says goes to `progress`. Raises SeawayError."""
        found = await self._local(name)
        if found is None or (self.pull and self._is_named(name)):
            await self._pull(name, progress)
            found = await self._record(name)
        self.triggers[name] = len(found.config.on_build)
        return BuildBase(name=name, source=f"{BASES}{found.id.removeprefix('sha256:')}:latest", id=found.id)

    async def _record(self, name: str) -> ImageRecord:
        return await self.api.bus.call(cat.GET_IMAGE, ImageRef(ref=name))

    async def _local(self, name: str) -> ImageRecord | None:
        try:
            return await self._record(name)
        except SeawayError as error:
            if error.code is not Code.NOT_FOUND:
                raise
            return None

    @staticmethod
    def _is_named(name: str) -> bool:
        try:
            return bool(parse_reference(name))
        except InvalidParameter:
            return False

    async def _pull(self, name: str, progress: Progress) -> None:
        reference = parse_reference(name).with_default_tag()
        auth = auth_of(self.auths, reference.domain)
        async with self.api.stream(service="image") as stream:
            request = PullRequest(ref=reference.familiar, stream=stream.id, platform=self.platform, auth=auth)
            await self.api.bus.call(cat.PULL_IMAGE, request, command=Command.new(self.actor))
            while data := await stream.read():
                await progress(data)
            await stream.end()
