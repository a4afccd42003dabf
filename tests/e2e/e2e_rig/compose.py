"""`docker compose` in a project of a test's own."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

from e2e_rig.docker_cli import CommandFailed, DockerCli, Result

CLEARED = b"\x1b[2K"
SLEEP = {"image": "busybox", "command": ["sleep", "600"], "stop_signal": "SIGKILL"}
"""A service that runs until it is stopped."""


def service(**fields: Any) -> dict[str, Any]:
    """A service that runs until it is stopped, with these fields as well or instead."""
    return SLEEP | fields


def script(text: str, **fields: Any) -> dict[str, Any]:
    """A service that runs a shell script."""
    return service(command=["sh", "-c", text], **fields)


class Project:
    """A directory with compose files. Calling it runs `docker compose …` there, in a project of the test's name."""

    def __init__(self, cli: DockerCli, name: str, directory: Path) -> None:
        self.cli = cli
        self.name = name
        self.directory = directory

    def write(self, **document: Any) -> "Project":
        """The compose file: its top-level elements. JSON is YAML."""
        return self.file("compose.yaml", json.dumps(document))

    def services(self, **services: dict[str, Any]) -> "Project":
        """A compose file with these services alone."""
        return self.write(services=services)

    def file(self, name: str, text: str) -> "Project":
        """A file of the project."""
        (self.directory / name).write_text(text)
        return self

    def words(self, *words: str) -> tuple[str, ...]:
        """The words of a `docker` command line."""
        where = ("--project-directory", str(self.directory), *self._files(), "-p", self.name)
        return ("compose", *where, *words)

    def _files(self) -> tuple[str, ...]:
        path = self.directory / "compose.yaml"
        return ("-f", str(path)) if path.exists() else ()

    def try_(self, *words: str, **more: Any) -> Result:
        """Run it and see. Compose clears each line of a log before it prints it, on a terminal or not."""
        result = self.cli.try_(*self.words(*words), **more)
        return replace(result, stdout=result.stdout.replace(CLEARED, b""))

    def __call__(self, *words: str, **more: Any) -> Result:
        """Run it; raises CommandFailed if it ends with another code than 0."""
        result = self.try_(*words, **more)
        if result.code:
            raise CommandFailed(f"docker compose {' '.join(words)}: {result.code}: {result.err or result.out}")
        return result

    def up(self, *words: str, **more: Any) -> Result:
        """`up --detach`."""
        return self("up", "--detach", *words, **more)

    def down(self, *words: str) -> Result:
        """`down` without patience."""
        return self("down", "-t", "0", *words)

    def box(self, service: str, number: int = 1) -> str:
        """The name of a service's container."""
        return f"{self.name}-{service}-{number}"

    def inside(self, service: str, text: str, *options: str) -> str:
        """What a shell script prints in a service's first container."""
        return self("exec", "-T", *options, service, "sh", "-c", text).out

    def inspect(self, service: str, template: str, number: int = 1) -> str:
        """A part of a container's inspection."""
        return self.cli("inspect", self.box(service, number), "--format", template).out

    def ended(self, *services: str) -> None:
        """Wait for the end of services' first containers."""
        self.cli("wait", *map(self.box, services))

    def states(self) -> dict[str, str]:
        """The state of each container of the project, by its name without the project's."""
        rows = (json.loads(line) for line in self("ps", "--all", "--format", "json").lines)
        return {row["Name"].removeprefix(f"{self.name}-"): row["State"] for row in rows}
