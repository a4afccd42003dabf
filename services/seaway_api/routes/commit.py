"""POST /commit: an image made of a container."""

from aiohttp import web

from seaway_api.http import replies
from seaway_api.routes.call import Call
from seaway_api.translate.commit import image_order
from seaway_contracts import catalogue as cat
from seaway_contracts.archives import CommitContainer, GrantCommit
from seaway_docker.errors import InvalidParameter
from seaway_docker.model_container import ContainerConfig
from seaway_docker.references import parse_reference


async def commit(call: Call) -> web.StreamResponse:
    """Answers with the image's id; a running container is paused meanwhile unless `pause=0`."""
    name = call.text("container").removeprefix("/")
    if not name:
        raise InvalidParameter('invalid name or ID supplied: ""')
    body = await _config(call)
    target = _target(call.text("repo"), call.text("tag"))
    record = await call.api.record(name)
    order = image_order(
        record,
        body,
        changes=call.query.getall("changes", []),
        target=target,
        author=call.text("author"),
        comment=call.text("comment"),
    )
    command = call.command()
    upload = await call.api.bus.call(cat.GRANT_COMMIT, GrantCommit(node=record.node, order=order), command=command)
    request = CommitContainer(id=record.id, upload=upload, comment=order.comment, pause=call.flag("pause", True))
    made = await call.api.bus.call(cat.COMMIT, request, node=record.node, command=command)
    return replies.json({"Id": made.id}, 201)


async def _config(call: Call) -> ContainerConfig | None:
    """The config that the client gave; one without any field is none, as for Go's embedded pointer."""
    body = await call.body(ContainerConfig) if call.request.can_read_body else None
    return body if body is not None and body.model_fields_set else None


def _target(repo: str, tag: str) -> str:
    """The new image's name with its tag; empty where it gets none. Raises InvalidReference (400)."""
    if not repo:
        return ""
    return parse_reference(repo).with_tag_or_digest(tag).with_default_tag().familiar
