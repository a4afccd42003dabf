"""The image service's HTTP side: an OCI registry at `/v2/` (distribution spec 1.1), and image archives.

Bulk bytes go here and not over the bus. `access.py` says who may do what.
"""

from collections.abc import Awaitable, Callable, Iterable
from typing import Final

from aiohttp import web

from seaway_contracts.errors import SeawayError
from seaway_image.http.access import Access
from seaway_image.http.archives import COMMIT_PATH
from seaway_image.http.rights import RIGHTS
from seaway_image.http.spec_errors import SpecError, error_body, spec_error

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
_V2: Final = "/v2"
_PLAIN: Final = {404: "NAME_UNKNOWN", 405: "UNSUPPORTED"}


class ImageHttp:
    """The application."""

    def __init__(self, access: Access, routes: Iterable[web.AbstractRouteDef]) -> None:
        self._access = access
        self._routes = list(routes)

    def application(self) -> web.Application:
        """The routes, each guarded."""
        app = web.Application(middlewares=[self._guard], client_max_size=0)
        app.add_routes(self._routes)
        return app

    @web.middleware
    async def _guard(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        registry = request.path == _V2 or request.path.startswith(f"{_V2}/")
        try:
            if not await (self._may_enter(request) if registry else self._may(request)):
                scheme = "Basic" if registry else "Bearer"
                headers = {"WWW-Authenticate": f'{scheme} realm="seaway"'}
                raise SpecError(401, "UNAUTHORIZED", "authentication required", headers)
            return await handler(request)
        except SpecError as error:
            return _refuse(error)
        except SeawayError as error:
            return _refuse(spec_error(error, request.path))
        except web.HTTPException as error:
            if error.status not in _PLAIN:
                raise
            return _refuse(
                SpecError(error.status, _PLAIN[error.status], f"{request.method} {request.path[:200]}: {error.reason}")
            )

    async def _may_enter(self, request: web.Request) -> bool:
        rights = await self._access.rights(request.headers.get("Authorization", ""))
        if rights is not None:
            request[RIGHTS] = rights
        return rights is not None

    async def _may(self, request: web.Request) -> bool:
        given = request.headers.get("Authorization", "")
        return (
            self._access.granted(given) is not None if request.path == COMMIT_PATH else self._access.may_do_all(given)
        )


def _refuse(error: SpecError) -> web.Response:
    return web.json_response(error_body(error.code, error.message), status=error.status, headers=dict(error.headers))
