"""containerd's content store in a session, where it is ours: results are taken from it, bases are given through it.

The protocol is containerd's (api/services/content/v1/content.proto). A writer first asks for the state of its blob:
one that the image service has is answered AlreadyExists, and is not sent.
"""

from collections.abc import Mapping
from typing import Any, Final

from seaway_api.buildkit import messages
from seaway_api.buildkit.grpc import Answer, Code, GrpcError, Messages
from seaway_api.buildkit.http2 import Stream
from seaway_api.buildkit.image_service import BuildResult, ImageService
from seaway_api.buildkit.relay import Method, Relay
from seaway_api.buildkit.sessions import BuildSession
from seaway_api.buildkit.solve import STORE
from seaway_contracts import errors
from seaway_contracts.errors import SeawayError
from seaway_kit.tasks import Tasks

SERVICE: Final = "/containerd.services.content.v1.Content/"
_STORE_HEADER: Final = b"buildkit-attachable-store-id"
_RESULT: Final = b"export"
_BASES: Final = frozenset((f"oci:{STORE}".encode(), f"oci:docker.io/library/{STORE}".encode()))
_CHUNK: Final = 1 << 20
_COMMIT: Final = 2
_CODES: Final = {
    errors.Code.NOT_FOUND: Code.NOT_FOUND,
    errors.Code.BAD_REQUEST: Code.INVALID_ARGUMENT,
    errors.Code.FORBIDDEN: Code.PERMISSION_DENIED,
    errors.Code.UNAVAILABLE: Code.UNAVAILABLE,
    errors.Code.NO_SPACE: Code.RESOURCE_EXHAUSTED,
}


def grpc_error(error: SeawayError) -> GrpcError:
    """An error of the suite, for a caller by gRPC."""
    return GrpcError(_CODES.get(error.code, Code.UNKNOWN), error.message)


class SessionContent:
    """Answers for one session; what is for a store of the client's own passes."""

    def __init__(self, session: BuildSession, images: ImageService, relay: Relay, tasks: Tasks) -> None:
        self._session = session
        self._images = images
        self._relay = relay
        self._tasks = tasks

    def methods(self) -> Mapping[str, Method]:
        """By path."""
        return {f"{SERVICE}Info": self.info, f"{SERVICE}Read": self.read, f"{SERVICE}Write": self.write}

    async def info(self, stream: Stream) -> None:
        """A blob's size."""
        if not self._is_base(stream):
            await self._relay.forward(stream)
            return
        asked = messages.parse("InfoRequest", await Messages(stream).only())
        try:
            size = await self._images.size(asked.digest)
        except SeawayError as error:
            raise grpc_error(error) from error
        answer = Answer(stream)
        await answer.message(messages.encode("InfoResponse", info=messages.new("Info", digest=asked.digest, size=size)))
        await answer.end()

    async def read(self, stream: Stream) -> None:
        """A blob's bytes, or some of them."""
        if not self._is_base(stream):
            await self._relay.forward(stream)
            return
        asked = messages.parse("ReadContentRequest", await Messages(stream).only())
        answer = Answer(stream)
        try:
            if asked.offset < await self._images.size(asked.digest):
                await self._give(answer, asked.digest, asked.offset, asked.size)
        except SeawayError as error:
            raise grpc_error(error) from error
        await answer.end()

    async def _give(self, answer: Answer, digest: str, offset: int, size: int) -> None:
        async with self._images.open(digest, offset, size) as content:
            async for data in content.iter_chunked(_CHUNK):
                await answer.message(messages.encode("ReadContentResponse", offset=offset, data=data))
                offset += len(data)

    async def write(self, stream: Stream) -> None:
        """A blob of the result."""
        result = self._session.result
        if result is None or stream.values(_STORE_HEADER)[:1] != [_RESULT]:
            return await self._relay.forward(stream)
        requests = Messages(stream)
        first = messages.parse("WriteContentRequest", await requests.only())
        if not first.expected:
            raise GrpcError(Code.INVALID_ARGUMENT, "the builder offers a blob without its digest")
        try:
            if await result.has(first.expected):
                raise GrpcError(Code.ALREADY_EXISTS, f"blob {first.expected} already exists")
            await self._take(Answer(stream), requests, first, result)
        except SeawayError as error:
            raise grpc_error(error) from error

    async def _take(self, answer: Answer, requests: Messages, request: Any, result: BuildResult) -> None:
        written, expected, total = 0, request.expected, request.total
        async with result.upload(expected, self._tasks) as upload:
            while True:
                if request.data and request.offset != written:
                    text = f"blob {expected}: {written} bytes have been written, the next are for {request.offset}"
                    raise GrpcError(Code.FAILED_PRECONDITION, text)
                await upload.write(request.data)
                written += len(request.data)
                total = request.total or total
                done = request.action == _COMMIT
                if done:
                    await upload.finish()
                said = {"digest": expected} if done else {}
                await answer.message(
                    messages.encode("WriteContentResponse", action=request.action, offset=written, total=total, **said)
                )
                if done:
                    return await answer.end()
                data = await requests.next()
                if data is None:
                    raise GrpcError(Code.INVALID_ARGUMENT, f"blob {expected} has not been committed")
                request = messages.parse("WriteContentRequest", data)

    def _is_base(self, stream: Stream) -> bool:
        return bool(_BASES.intersection(stream.values(_STORE_HEADER)))
