"""What a request at `/v2/` is about, and whether who sends it may: for all its handlers."""

from typing import Final

from aiohttp import web

from seaway_docker.references import Reference
from seaway_image.http.access import Rights
from seaway_image.http.names import repository_of
from seaway_image.http.spec_errors import SpecError

RIGHTS: Final = web.RequestKey("rights", Rights)
NAME: Final = r"{name:.{1,400}}"


def rights_of(request: web.Request) -> Rights:
    """What the sender may do."""
    return request[RIGHTS]


def repository_in(request: web.Request) -> Reference:
    """The repository in the path; raises SpecError(NAME_INVALID).

    `ns`, where it is given, is the registry whose mirror this one is (distribution spec 1.1, "Registry Proxying").
    """
    name, mirrored = request.match_info["name"], request.query.get("ns")
    return repository_of(f"{mirrored}/{name}" if mirrored else name)


def writable_in(request: web.Request) -> Reference:
    """The repository in the path, which the sender may write; raises SpecError: NAME_INVALID, DENIED."""
    repository = repository_of(request.match_info["name"])
    if not rights_of(request).may_write(repository.name):
        raise SpecError(403, "DENIED", f"you may not push to {repository.familiar_name}")
    return repository


def deletable_in(request: web.Request) -> Reference:
    """The repository in the path, from which the sender may delete; raises SpecError: NAME_INVALID, DENIED."""
    repository = writable_in(request)
    if not rights_of(request).delete:
        raise SpecError(403, "DENIED", f"you may not delete from {repository.familiar_name}")
    return repository
