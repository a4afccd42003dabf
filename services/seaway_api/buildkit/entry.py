"""BuildKit as the API's routes use it. What it needs of h2 and protobuf is imported at the first build."""

from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from contextlib import asynccontextmanager
from functools import cached_property
from typing import TYPE_CHECKING, Any

from seaway_api.http.hijack import Tunnel
from seaway_api.settings import NO_BUILDER, OWN_BUILDER, ApiSettings
from seaway_api.translate.image_catalogue import ImageCatalogue
from seaway_bus.bus import Bus
from seaway_contracts.errors import SeawayError, conflict, unavailable
from seaway_docker.errors import InvalidParameter
from seaway_docker.filters import Filters
from seaway_kit.tasks import Tasks

if TYPE_CHECKING:
    from seaway_api.buildkit.builder import Builder
    from seaway_api.buildkit.cache import Pruned
    from seaway_api.buildkit.image_service import ImageService
    from seaway_api.buildkit.sessions import Sessions


class BuildKit:
    """The builder, and what this process relays to it."""

    def __init__(
        self, settings: ApiSettings, bus: Bus, tasks: Tasks, images: Callable[[], Awaitable[ImageCatalogue]]
    ) -> None:
        """`images` lists what is in the store. `tasks` carry what outlives a request."""
        self._tasks = tasks
        self._settings = settings
        self._bus = bus
        self._images = images

    @cached_property
    def _sessions(self) -> "Sessions":
        from seaway_api.buildkit.sessions import Sessions

        return Sessions()

    @cached_property
    def _service(self) -> "ImageService":
        from seaway_api.buildkit.image_service import ImageService

        return ImageService(self._bus, self._settings.node, self._settings.nats_ca)

    @cached_property
    def _builder(self) -> "Builder":
        from seaway_api.buildkit.builder import GivenBuilder, Nowhere
        from seaway_api.buildkit.own_builder import OwnBuilder

        settings = self._settings
        if settings.buildkit == NO_BUILDER:
            return Nowhere()
        if settings.buildkit == OWN_BUILDER:
            return OwnBuilder(self._bus, self._tasks, settings.buildkit_image, settings.buildkit_cache)
        return GivenBuilder(settings.buildkit)

    async def close(self) -> None:
        """Let go of what is open."""
        if "_service" in self.__dict__:
            await self._service.close()

    async def describe(self) -> str:
        """The builder, for `docker info`."""
        from seaway_api.buildkit.container import builder_line, find_builder

        settings = self._settings
        if settings.buildkit != OWN_BUILDER:
            return settings.buildkit
        try:
            return builder_line(await find_builder(self._bus), settings.buildkit_image)
        except SeawayError as error:
            return f"container ({error.message})"

    async def usage(self) -> list[dict[str, Any]]:
        """What is in the builder's cache, as `GET /system/df` lists it. Raises SeawayError."""
        if not await self._has_cache():
            return []
        from seaway_api.buildkit import cache

        return await cache.usage(self._builder)

    async def prune(self, filters: Filters, *, everything: bool, keep_bytes: int, unused_ns: int) -> "Pruned | None":
        """Prune the builder's cache; None where there is none. Raises SeawayError."""
        if not await self._has_cache():
            return None
        from seaway_api.buildkit import cache

        return await cache.prune(
            self._builder, filters, everything=everything, keep_bytes=keep_bytes, unused_ns=unused_ns
        )

    async def _has_cache(self) -> bool:
        from seaway_api.buildkit.container import find_builder, is_running

        place = self._settings.buildkit
        return place != NO_BUILDER and (place != OWN_BUILDER or is_running(await find_builder(self._bus)))

    async def grpc(self, tunnel: Tunnel, actor: str) -> None:
        """Serve a client's calls to BuildKit, until it goes."""
        from seaway_api.buildkit.connections import relay_grpc

        await relay_grpc(tunnel, self._builder, self._sessions, self._service, self._images, actor)

    @asynccontextmanager
    async def session(
        self, headers: Iterable[tuple[str, str]], identifier: str, actor: str
    ) -> AsyncIterator[Callable[[Tunnel], Awaitable[None]]]:
        """Open a client's session at the builder; gives what serves it. Raises SeawayError, InvalidParameter."""
        from seaway_api.buildkit.builder import NoBuilder
        from seaway_api.buildkit.connections import builder_session, relay_session, session_headers
        from seaway_api.buildkit.sessions import SessionRefused

        try:
            metadata = session_headers(headers)
        except ValueError as error:
            raise InvalidParameter(str(error)) from None
        try:
            with self._sessions.opened(identifier, actor) as session:
                async with builder_session(self._builder, metadata) as pipe:
                    yield lambda tunnel: relay_session(tunnel, pipe, session, self._service)
        except SessionRefused as error:
            raise conflict(str(error)) from None
        except NoBuilder as error:
            raise unavailable(str(error)) from error
