"""What an exec needs to run: its container, its process, its files, its command line. Pure.

All files of an exec are in one directory, its bundle: process.json, the attach socket, the exit file, which conmon
names after the container.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from seaway_agent.oci import capabilities
from seaway_agent.oci import spec as oci
from seaway_agent.runtime.conmon import ENVIRONMENT
from seaway_contracts.containers import ContainerSpec, Link
from seaway_contracts.execs import ExecSpec
from seaway_docker.links import link_prefix

PID_FILE: Final = "pidfile"
"""In an exec's bundle: the pid of its program, written by the runtime or conmon."""

SYNC_FD: Final = 3
START_FD: Final = 4
ATTACH_FD: Final = 5
Json = dict[str, Any]
_HOSTNAME = "HOSTNAME="


@dataclass(frozen=True)
class ExecShim:
    """Files and command lines of one exec, for conmon and for the runtime.

    `attached`: conmon starts the program only when the agent has joined its streams. `before_runtime`: what conmon runs
    the runtime by, if not by itself.
    """

    exec_id: str
    container: str
    conmon: str
    runtime: str
    runtime_root: Path
    bundle: Path
    stdin: bool
    terminal: bool
    attached: bool
    runtime_args: tuple[str, ...] = ()
    before_runtime: tuple[str, ...] = ()

    @property
    def pid_file(self) -> str:
        """Where the pid of its program is written."""
        return f"{self.bundle}/{PID_FILE}"

    @property
    def process_file(self) -> str:
        """The OCI process to run."""
        return f"{self.bundle}/process.json"

    @property
    def exit_file(self) -> str:
        """Where its exit code is written: conmon names it after the container."""
        return f"{self.bundle}/{self.container}"

    @property
    def log_file(self) -> Path:
        """Where the runtime logs its errors if there is a terminal: conmon gets none of them then."""
        return self.bundle / "runtime.log"

    def argv(self) -> list[str]:
        """conmon's command line. The end of its input ends the program's input, as each exec has but one client."""
        given = ["--root", str(self.runtime_root), *self.runtime_args]
        if self.terminal:
            given += ["--log", str(self.log_file), "--log-format", "json"]
        program, *first = (*self.before_runtime, self.runtime)
        flags = [f"--runtime-arg={arg}" for arg in (*first, *given)]
        flags += ["--exec-attach"] if self.attached else []
        flags += ["-i"] if self.stdin else []
        flags += ["-t"] if self.terminal else []
        place = str(self.bundle)
        return [
            self.conmon, "--api-version", "1", "-e", "-c", self.container, "-u", self.exec_id, "-n", self.container,
            "-r", program, "-b", place, "-p", self.pid_file, "--exec-process-spec", self.process_file,
            "--exit-dir", place, "--persist-dir", place, "--full-attach",
            "-l", "none:", "--no-sync-log", "--sync", "--log-level", "error", *flags,
        ]  # fmt: skip

    def runtime_argv(self) -> list[str]:
        """The runtime's command line without conmon: the program becomes a child of the runtime's parent."""
        given = ["--root", str(self.runtime_root), *self.runtime_args]
        files = ["--process", self.process_file, "--pid-file", self.pid_file]
        return [self.runtime, *given, "exec", *files, "--detach", self.container]

    def env(self) -> dict[str, str]:
        """conmon's environment: its pipes, and the variables that every conmon gets."""
        pipes = {"_OCI_SYNCPIPE": str(SYNC_FD)}
        if self.attached:
            pipes |= {"_OCI_STARTPIPE": str(START_FD), "_OCI_ATTACHPIPE": str(ATTACH_FD)}
        return {**pipes, **ENVIRONMENT}


@dataclass(frozen=True)
class ExecPlan:
    """One exec, decided: where and how it runs.

    `pid` is the container's first process, or that of its sandbox; `config` the container's config.json. `supervised`:
    the supervisor runs it; otherwise it has a conmon of its own.
    """

    container: ContainerSpec
    pid: int
    asked: ExecSpec
    shim: ExecShim
    config: Path
    sandboxed: bool = False
    supervised: bool = False


def process_of(first: Json, spec: ContainerSpec, asked: ExecSpec, user: oci.User, grantable: Collection[str]) -> Json:
    """The process for `exec --process`. `first` is the container's own.

    A privileged exec has all capabilities that this node can grant; seccomp and AppArmor stay the container's, as in
    Docker.
    """
    process: Json = dict(first)
    process["args"] = list(asked.args)
    process["terminal"] = asked.tty
    process["env"] = _environment(process, spec, asked, user)
    process["cwd"] = asked.workdir or spec.command.workdir or "/"
    groups = list(dict.fromkeys((user.gid, *user.groups)))
    process["user"] = {"uid": user.uid, "gid": user.gid, "additionalGids": groups}
    if asked.tty and asked.height and asked.width:
        process["consoleSize"] = {"height": asked.height, "width": asked.width}
    if asked.privileged:
        caps = [name for name in capabilities.ALL if name in grantable]
        process["capabilities"] = {"bounding": caps, "effective": caps, "permitted": caps}
    return process


def _environment(process: Json, spec: ContainerSpec, asked: ExecSpec, user: oci.User) -> list[str]:
    """The container's, as it is for this user and terminal, then the exec's own."""
    command = spec.command.model_copy(update={"tty": asked.tty, "env": (*spec.command.env, *asked.env)})
    named = [item for item in process.get("env", ()) if item.startswith(_HOSTNAME)]
    hostname = named[0].removeprefix(_HOSTNAME) if named else ""
    links = tuple(item for item in process.get("env", ()) if is_of_link(item, spec.network.links))
    options = oci.SpecOptions(rootfs="", cgroups_path="", hostname=hostname, user=user, env=links)
    return oci.environment(spec.model_copy(update={"command": command}), options)


def is_of_link(item: str, links: Sequence[Link]) -> bool:
    """Whether a variable comes from a legacy link of the container."""
    name = item.partition("=")[0]
    return any(name.startswith(f"{link_prefix(link.alias)}_") for link in links)
