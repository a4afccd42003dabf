"""A connection to buildkitd in a container, by an exec of `buildctl dial-stdio` there: no port, no file of the host."""

from typing import Final

from seaway_bus.bus import Bus, Command
from seaway_bus.streams import ByteStream
from seaway_cluster.run import prepare
from seaway_contracts import catalogue as cat
from seaway_contracts.errors import SeawayError
from seaway_contracts.execs import ExecSpec, StartExec
from seaway_kit.tasks import Tasks

DIAL: Final = ("buildctl", "dial-stdio")


class ExecPipe:
    """The standard streams of that exec."""

    def __init__(self, stream: ByteStream, tasks: Tasks) -> None:
        self._stream = stream
        self._tasks = tasks
        self._closed = False

    async def read(self) -> bytes:
        """The next bytes, b"" at the end. Raises ConnectionError."""
        try:
            return await self._stream.read()
        except SeawayError as error:
            raise ConnectionResetError(f"the connection to the builder broke: {error}") from error

    async def write(self, data: bytes) -> None:
        """Send, waiting while the builder takes nothing. Raises ConnectionError."""
        try:
            await self._stream.write(data)
        except SeawayError as error:
            raise ConnectionResetError(f"the connection to the builder broke: {error}") from error

    def close(self) -> None:
        """End both directions: the exec ends with its input, and the builder gives up what it did for it."""
        if not self._closed:
            self._closed = True
            self._tasks.spawn("close", self._close())

    async def _close(self) -> None:
        try:
            await self._stream.end()
        except SeawayError:
            pass  # it is broken, which is an end as well
        await self._stream.close()


async def dial(bus: Bus, tasks: Tasks, actor: str, container: str, node: str) -> ExecPipe:
    """Connect to the buildkitd of a container. Raises SeawayError; the tasks outlive the pipe."""
    spec = ExecSpec(id="", args=DIAL, attach_stdin=True, attach_stdout=True)
    ready = await prepare(bus, actor, container, node, spec)
    stream = await bus.new_stream(tasks, node).open()
    try:
        request = StartExec(id=ready.id, stream=stream.id, raw=True)
        await bus.call(cat.START_EXEC, request, node=node, command=Command.new(actor))
    except BaseException:
        await stream.close()
        raise
    return ExecPipe(stream, tasks)
