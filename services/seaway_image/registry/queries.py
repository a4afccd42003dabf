"""Questions to registries, of which nothing is kept: searches, and what an image is there."""

from typing import Final

from seaway_bus.bus import Bus, Command
from seaway_contracts import catalogue
from seaway_contracts.errors import internal
from seaway_contracts.images import FoundRepositories, RemoteImage, RemoteImageRequest, SearchRequest
from seaway_docker.references import Reference
from seaway_image.oci.documents import parse_document
from seaway_image.oci.manifests import Manifest, parse_manifest
from seaway_image.registry.credentials import credentials_from
from seaway_image.registry.endpoints import RegistrySettings
from seaway_image.registry.pull_plan import asked
from seaway_image.registry.remote import inspection_error, platform_in_config, platforms_in_index
from seaway_image.registry.search import parse_term, search
from seaway_image.registry.session import RegistrySession
from seaway_image.registry.transport import HttpTransport, Unreachable
from seaway_image.store.names import read_reference

_MOST: Final = 100


class RegistryQueries:
    """The calls."""

    def __init__(self, transport: HttpTransport, settings: RegistrySettings) -> None:
        self._transport = transport
        self._settings = settings

    async def serve(self, bus: Bus) -> None:
        """Answer on the bus from now on."""
        await bus.serve(catalogue.SEARCH_REGISTRY, self._search)
        await bus.serve(catalogue.REMOTE_IMAGE, self._inspect)

    async def _search(self, request: SearchRequest, _: Command) -> FoundRepositories:
        credentials = credentials_from(request.auth)
        limit = min(max(1, request.limit), _MOST)
        return await search(self._transport, self._settings, parse_term(request.term), limit, credentials)

    async def _inspect(self, request: RemoteImageRequest, _: Command) -> RemoteImage:
        reference = read_reference(request.ref).with_default_tag()
        session = RegistrySession(self._transport, reference, self._settings, credentials_from(request.auth))
        return await inspect(session, reference)


async def inspect(session: RegistrySession, reference: Reference) -> RemoteImage:
    """What the registry has under this name; raises SeawayError with the registry's status."""
    try:
        fetched = await session.manifest(asked(reference), told=inspection_error)
        parsed = parse_manifest(fetched.data, fetched.media_type)
        if isinstance(parsed, Manifest):
            platforms = platform_in_config(await session.document(parsed.config))
        else:
            platforms = platforms_in_index(parse_document(fetched.data, "manifest"))
    except Unreachable as error:
        raise internal(error.message) from error
    return RemoteImage(media_type=parsed.media_type, digest=fetched.digest, size=len(fetched.data), platforms=platforms)
