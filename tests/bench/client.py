"""A small asyncio client of the Engine API for the benchmarks: keep-alive connections and streams, nothing else."""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator


class ApiError(Exception):
    """A reply that is an error."""


class Client:
    """An engine behind a unix socket; connections are kept and used again."""

    def __init__(self, socket: str) -> None:
        self.socket = socket
        self._idle: list[tuple[asyncio.StreamReader, asyncio.StreamWriter]] = []

    async def request(self, method: str, path: str, body: object = None) -> bytes:
        """One request, of JSON or a tar; the reply's body. Raises ApiError for an error, OSError without a server."""
        while True:
            fresh = not self._idle
            reader, writer = self._idle.pop() if self._idle else await self._open()
            try:
                writer.write(_message(method, path, body))
                status, headers = await _head(reader)
                break
            except (OSError, asyncio.IncompleteReadError):
                writer.close()
                if fresh:
                    raise
        data = b"" if status in (204, 304) else b"".join([piece async for piece in _body(reader, headers)])
        if headers.get("connection", "").lower() == "close":
            writer.close()
        else:
            self._idle.append((reader, writer))
        if status >= 400:
            raise ApiError(f"{method} {path}: {status}: {data[:300]!r}")
        return data

    @contextlib.asynccontextmanager
    async def stream(self, path: str) -> AsyncIterator[AsyncIterator[bytes]]:
        """The pieces of a GET that goes on."""
        reader, writer = await self._open()
        try:
            writer.write(_message("GET", path, None))
            _, headers = await _head(reader)
            yield _body(reader, headers)
        finally:
            writer.close()

    async def create(
        self,
        image: str,
        command: list[str],
        network: str,
        binds: tuple[str, ...] = (),
        host: dict[str, object] | None = None,
        **config: object,
    ) -> str:
        """Make a container; its id. `host` are more fields of its HostConfig."""
        placed = {"NetworkMode": network, "Binds": list(binds)} | (host or {})
        body = {"Image": image, "Cmd": command, "HostConfig": placed} | config
        return str(json.loads(await self.request("POST", "/containers/create", body))["Id"])

    async def start(self, container: str) -> None:
        """Start it."""
        await self.request("POST", f"/containers/{container}/start")

    async def wait(self, container: str) -> int:
        """Wait for its end; the exit code."""
        return int(json.loads(await self.request("POST", f"/containers/{container}/wait"))["StatusCode"])

    async def exec(self, container: str, command: list[str]) -> int:
        """Run a command in a container, take its output to the end; the exit code."""
        body = {"Cmd": command, "AttachStdout": True, "AttachStderr": True}
        made = json.loads(await self.request("POST", f"/containers/{container}/exec", body))["Id"]
        await self._hijack(f"/exec/{made}/start", {"Detach": False, "Tty": False})
        shown = json.loads(await self.request("GET", f"/exec/{made}/json"))
        if shown["Running"]:
            raise ApiError(f"exec {made}: its stream has ended before it")
        return int(shown["ExitCode"])

    async def _hijack(self, path: str, body: object) -> bytes:
        """All that comes through an upgraded connection."""
        reader, writer = await self._open()
        try:
            upgrade = b"\r\nConnection: Upgrade\r\nUpgrade: tcp\r\nContent-Type"
            writer.write(_message("POST", path, body).replace(b"\r\nContent-Type", upgrade, 1))
            status, _ = await _head(reader)
            if status != 101:
                raise ApiError(f"POST {path}: {status}")
            return await reader.read()
        finally:
            writer.close()

    async def remove(self, container: str) -> None:
        """Remove it."""
        await self.request("DELETE", f"/containers/{container}?force=1")

    async def _open(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        return await asyncio.open_unix_connection(self.socket, limit=1 << 20)


def _message(method: str, path: str, body: object) -> bytes:
    data = body if isinstance(body, bytes) else b"" if body is None else json.dumps(body).encode()
    tar = "x-tar" if isinstance(body, bytes) else "json"
    kind = f"Content-Type: application/{tar}\r\n" if body is not None else ""
    return f"{method} {path} HTTP/1.1\r\nHost: d\r\n{kind}Content-Length: {len(data)}\r\n\r\n".encode() + data


async def _head(reader: asyncio.StreamReader) -> tuple[int, dict[str, str]]:
    lines = (await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
    pairs = (line.partition(":") for line in lines[1:] if line)
    return int(lines[0].split(" ", 2)[1]), {name.strip().lower(): value.strip() for name, _, value in pairs}


async def _body(reader: asyncio.StreamReader, headers: dict[str, str]) -> AsyncIterator[bytes]:
    if "chunked" not in headers.get("transfer-encoding", ""):
        yield await reader.readexactly(int(headers.get("content-length", "0")))
        return
    while size := int((await reader.readuntil(b"\r\n")).split(b";")[0], 16):
        yield await reader.readexactly(size)
        await reader.readexactly(2)
    await reader.readuntil(b"\r\n")
