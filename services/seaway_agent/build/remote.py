"""Contexts that the node fetches itself, as dockerd does: a git repository, a tar, or a single Dockerfile."""

import asyncio
import os
import resource
import shutil
import signal
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final

import aiohttp

from seaway_agent.build.files import PATH
from seaway_agent.build.remote_names import DEFAULT_NAME, GitSource, git_source, is_git, is_text, is_url
from seaway_agent.build.workspace import Workspace
from seaway_agent.kernel import paths
from seaway_contracts.errors import SeawayError, bad_request, internal

_CONNECT_S: Final = 30.0
_IDLE_S: Final = 300.0
_PIECE: Final = 1 << 20
_MOST_NOTES: Final = 4096
_NO_GIT: Final = "this node has no git: install the package git there (apt-get install git)"
# git begins once it is in the build's cgroup.
_GATE: Final = ("/bin/sh", "-c", 'read -r _ && exec "$@" </dev/null', "sh")

Join = Callable[[int], None]
"""Puts a process into the build's cgroup. Raises OSError."""


async def fetch(remote: str, dockerfile: str, workspace: Workspace, most_bytes: int, join: Join) -> str:
    """Fill the workspace's context; the Dockerfile's path in it. Raises SeawayError, OSError."""
    if is_git(remote):
        await _Git(workspace, most_bytes, join).fetch(git_source(remote))
        return dockerfile
    if not is_url(remote):
        raise bad_request(f"remoteURL ({remote[:200]}) could not be recognized as URL")
    return await _download(remote, dockerfile, workspace, most_bytes)


# --- by URL


async def _download(url: str, dockerfile: str, workspace: Workspace, most_bytes: int) -> str:
    target = workspace.directory / "remote"
    timeout = aiohttp.ClientTimeout(total=None, sock_connect=_CONNECT_S, sock_read=_IDLE_S)
    try:
        async with aiohttp.ClientSession(timeout=timeout, trust_env=False) as session, session.get(url) as answer:
            if answer.status >= 400:
                raise bad_request(
                    f"error downloading remote context {url}: failed to GET {url} with status {answer.status}"
                )
            kind = answer.content_type
            await _save(answer.content, target, most_bytes)
    except (aiohttp.ClientError, TimeoutError, ValueError) as error:
        raise bad_request(f"error downloading remote context {url}: failed to GET {url}: {error}") from error
    if await asyncio.to_thread(_is_dockerfile, target, kind):
        target.rename(workspace.context / DEFAULT_NAME)
        return DEFAULT_NAME
    with target.open("rb") as archive:
        await asyncio.to_thread(workspace.unpack, archive.read, most_bytes)
    target.unlink()
    return dockerfile


async def _save(content: aiohttp.StreamReader, target: Path, most_bytes: int) -> None:
    size = 0
    with target.open("xb") as file:
        async for data in content.iter_chunked(_PIECE):
            size += len(data)
            if size > most_bytes:
                raise bad_request(f"the build's context has more than {most_bytes} bytes")
            await asyncio.to_thread(file.write, data)


def _is_dockerfile(target: Path, kind: str) -> bool:
    with target.open("rb") as file:
        return is_text(kind, file.read(512))


# --- by git


class _Git:
    """Runs git in a directory of its own, without the node's configuration and keys."""

    def __init__(self, workspace: Workspace, most_bytes: int, join: Join) -> None:
        self._workspace = workspace
        self._most = most_bytes
        self._join = join
        self._place = workspace.directory / "remote"

    async def fetch(self, source: GitSource) -> None:
        if shutil.which("git") is None:
            raise internal(_NO_GIT)
        self._place.mkdir(mode=0o700)
        await self._run("init", "--quiet")
        await self._run("remote", "add", "origin", source.url)
        await self._get(source)
        await asyncio.to_thread(self._adopt, source)

    async def _get(self, source: GitSource) -> None:
        wanted = source.ref or "HEAD"
        try:
            await self._run("fetch", "--quiet", "--depth", "1", "origin", "--", wanted)
            await self._run("checkout", "--quiet", "FETCH_HEAD")
        except SeawayError:  # a plain web server has no shallow copies, and a commit may have no name there
            await self._run("fetch", "--quiet", "--tags", "origin")
            if not source.ref:
                await self._run("remote", "set-head", "origin", "--auto")
            await self._run("checkout", "--quiet", source.ref or "origin/HEAD", "--")
        await self._run("submodule", "--quiet", "update", "--init", "--recursive", "--depth=1")

    def _adopt(self, source: GitSource) -> None:
        """The wanted directory becomes the context; no link of the repository leads out of it."""
        root = os.open(self._place, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            inside = paths.open_in_root(root, source.directory or ".", os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
        except OSError:
            raise bad_request(f'error setting git context, "{source.directory}" not within git root') from None
        finally:
            os.close(root)
        try:
            found = Path(f"/proc/self/fd/{inside}").readlink()
        finally:
            os.close(inside)
        self._workspace.context.rmdir()
        found.rename(self._workspace.context)

    def _environment(self) -> Mapping[str, str]:
        return {
            "PATH": PATH,
            "HOME": str(self._workspace.directory / "home"),
            "GIT_CONFIG_NOSYSTEM": "1",
            "GIT_TERMINAL_PROMPT": "0",
            "GIT_ALLOW_PROTOCOL": "http:https:git",
            "LC_ALL": "C",
        }

    async def _run(self, *words: str) -> None:
        """Raises SeawayError with what git said. Stopped early, nothing of it runs on."""
        child = await asyncio.create_subprocess_exec(
            *_GATE, "git", "-c", "protocol.version=2", "-c", "core.hooksPath=/dev/null", *words,
            cwd=self._place, env=dict(self._environment()), stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT, start_new_session=True,
        )  # fmt: skip
        try:
            resource.prlimit(child.pid, resource.RLIMIT_FSIZE, (self._most, self._most))
            await asyncio.to_thread(self._join, child.pid)
            assert child.stdin is not None and child.stdout is not None  # pipes, both
            child.stdin.write(b"\n")
            child.stdin.close()
            said = await _end_of(child.stdout)
            await child.wait()
        except BaseException:
            _kill(child.pid)
            await child.wait()
            raise
        if child.returncode:
            text = said.decode(errors="replace").replace(str(self._place), "").strip()
            raise bad_request(f"unable to prepare context: error fetching: {text}: exit status {child.returncode}")


async def _end_of(output: asyncio.StreamReader) -> bytes:
    """The last of what comes: a server may have git say as much as it likes."""
    said = b""
    while data := await output.read(_PIECE):
        said = (said + data)[-_MOST_NOTES:]
    return said


def _kill(session: int) -> None:
    try:
        os.killpg(session, signal.SIGKILL)
    except ProcessLookupError:
        return
