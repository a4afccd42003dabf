"""The applications of docs/examples, each in a copy that a test may change, used by `docker compose` and HTTP."""

import os
import shutil
import signal
import subprocess
import urllib.error
import urllib.request
from pathlib import Path

from e2e_rig.docker_cli import DockerCli, Result
from e2e_rig.waits import eventually
from seaway_testing.ports import free_port

EXAMPLES = Path(__file__).parents[3] / "docs" / "examples"
NAMES = ("counter", "monitor", "notes", "queue", "wiki")
PACKAGES = Path("/var/cache/seaway-examples")  # ./dev test fetches them
PATIENCE_S = 60.0


def make_images(cli: DockerCli) -> None:
    """Make all images in the engine, as docs/examples/images does it for a reader."""
    assert (PACKAGES / "base.tar").exists(), "./dev test fetches the packages of docs/examples"
    words = [EXAMPLES / "images", "make", PACKAGES]
    done = subprocess.run(words, env=cli.environment, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr


def remove_images(cli: DockerCli) -> None:
    """Remove those that are there."""
    names = cli("images", "--format", "{{.Repository}}", "--filter", "reference=example/*").lines
    if names:
        cli("rmi", "--force", *names)


class Example:
    """One application, as its directory says, with a free port of the host in place of its own."""

    def __init__(self, cli: DockerCli, name: str, place: Path, **environment: str) -> None:
        self.name = name
        self.port = free_port()
        self.directory = place / name
        shutil.copytree(EXAMPLES / name, self.directory)
        self._cli = cli
        self._environment = {"PORT": str(self.port), **environment}

    # --- docker compose

    def try_(self, *words: str, **environment: str) -> Result:
        """Run `docker compose …` and see."""
        file = str(self.directory / "compose.yaml")
        environment = self._environment | environment
        return self._cli.try_("compose", "-f", file, *words, timeout=300, **environment)

    def compose(self, *words: str, **environment: str) -> Result:
        """Run `docker compose …`, which must end well."""
        result = self.try_(*words, **environment)
        assert result.code == 0, f"docker compose {' '.join(words)}: {result.err or result.out}"
        return result

    def up(self, *options: str, **environment: str) -> None:
        """Bring it up, and wait until all is healthy."""
        self.compose("up", "--detach", "--wait", *options, **environment)

    def up_at_last(self, *options: str) -> None:
        """Bring it up while services of the engine may be away: repeated until it works."""
        said: list[str] = []

        def works() -> bool:
            result = self.try_("up", "--detach", "--wait", *options)
            said.append(result.err)
            return result.code == 0

        try:
            eventually(works, "`docker compose up`", PATIENCE_S)
        except TimeoutError:
            raise AssertionError(said[-1]) from None

    def change(self, old: str, new: str, file: str = "compose.yaml") -> None:
        """Edit one of its files."""
        text = (self.directory / file).read_text()
        assert old in text
        (self.directory / file).write_text(text.replace(old, new))

    # --- its containers

    def ids(self) -> dict[str, str]:
        """The ids of its containers, by the last part of their names, such as `web-1`."""
        label = f"label=com.docker.compose.project={self.name}"
        lines = self._cli("ps", "-a", "--no-trunc", "--filter", label, "--format", "{{.Names}} {{.ID}}").lines
        return {line.split()[0].removeprefix(f"{self.name}-"): line.split()[1] for line in lines}

    def inspect(self, container: str, field: str) -> str:
        """One field of `docker inspect`, of `web-1` for example."""
        return self._cli("inspect", f"{self.name}-{container}", "--format", f"{{{{{field}}}}}").out

    def crash(self, container: str) -> None:
        """Kill its process behind the engine's back, and wait until the restart policy has brought it back."""
        before = self.inspect(container, ".State.Pid")
        os.kill(int(before), signal.SIGKILL)
        back = ("true", "false")
        eventually(
            lambda: (
                self.inspect(container, ".State.Pid") not in (before, "0")
                and (self.inspect(container, ".State.Running"), self.inspect(container, ".State.Restarting")) == back
            ),
            f"{container} after its crash",
            PATIENCE_S,
        )

    def left(self) -> list[str]:
        """Whatever bears the project's label."""
        label = f"label=com.docker.compose.project={self.name}"
        return [
            line
            for words in (("ps", "-aq"), ("network", "ls", "-q"), ("volume", "ls", "-q"))
            for line in self._cli(*words, "--filter", label).lines
        ]

    # --- its users

    def fetch(self, path: str = "/", data: str | None = None, method: str | None = None, **headers: str) -> "Answer":
        """Ask it; status 0 if nobody answers."""
        url = f"http://127.0.0.1:{self.port}{path}"
        body = data.encode() if data is not None else None
        request = urllib.request.Request(url, body, headers, method=method)
        try:
            with urllib.request.urlopen(request, timeout=20) as reply:
                return reply.status, reply.read().decode().removesuffix("\n")
        except urllib.error.HTTPError as error:
            return error.code, error.read().decode().removesuffix("\n")
        except OSError as error:
            return 0, str(error)

    def asked(self, path: str = "/", data: str | None = None, method: str | None = None, **headers: str) -> str:
        """What it says as soon as it answers well: a proxy may need a moment to find what has come back."""
        seen: list[Answer] = []

        def good() -> bool:
            seen.append(self.fetch(path, data, method, **headers))
            return 200 <= seen[-1][0] < 300

        try:
            eventually(good, f"an answer of {self.name} to {path}", PATIENCE_S)
        except TimeoutError as error:
            state, logs = self.try_("ps", "-a").out, self.try_("logs", "--tail", "10").out
            raise AssertionError(f"{error}: {seen[-1]}\n{state}\n{logs}") from None
        return seen[-1][1]


Answer = tuple[int, str]
