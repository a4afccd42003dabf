"""What the steps of a build get of the node: a network, limits, filters, files over /etc."""

import asyncio
import platform
import resource
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from seaway_agent.build.build_cgroup import BuildCgroups
from seaway_agent.build.step_config import StepRules
from seaway_agent.build.step_networks import StepNetwork, StepNetworks
from seaway_agent.dns.port import ResolverError
from seaway_agent.kernel import cgroups, seccomp_bpf
from seaway_agent.kernel.cgroup_text import CgroupLayout, CgroupMode
from seaway_agent.network import hosts
from seaway_agent.network.errors import NetworkError
from seaway_agent.oci.limits import limits
from seaway_agent.oci.spec import rlimits
from seaway_agent.runtime.apparmor import AppArmor
from seaway_agent.runtime.seccomp import Seccomp
from seaway_contracts.builds import StartBuild
from seaway_contracts.containers import Resources, Security
from seaway_contracts.errors import bad_request, internal

_ARCHITECTURES: Final = {"x86_64": ("amd64", ""), "aarch64": ("arm64", ""), "armv7l": ("arm", "v7")}
_SHOWN: Final = ("context", "tmp", "runroot")
"""What steps may mount of their build's directory: the context, and what the builder makes for them."""
JOINED: Final = "container:"
NamespacePath = Callable[[str], str]
"""The path of a running container's network namespace. Raises SeawayError."""


@dataclass(frozen=True)
class Step:
    """What a build's steps get."""

    rules: StepRules
    etc_files: Callable[[str], Mapping[str, str]]


@dataclass(frozen=True)
class StepSetup:
    """What the node has for steps. `open_files`: the default limit."""

    networks: StepNetworks
    seccomp: Seccomp
    apparmor: AppArmor
    host: CgroupLayout
    cgroups: BuildCgroups
    runtime_name: str
    runtime: str
    self_copying: Sequence[str]
    grantable: Collection[str]
    open_files: tuple[int, int] | None
    network_of: NamespacePath

    @property
    def own_limits(self) -> dict[str, tuple[int, int]]:
        """The agent's own limits, for the builder, whose defaults may be higher than it may set."""
        named = {"nofile": resource.RLIMIT_NOFILE, "nproc": resource.RLIMIT_NPROC}
        return {name: resource.getrlimit(number) for name, number in named.items()}

    async def prepare(
        self,
        stack: AsyncExitStack,
        asked: StartBuild,
        directory: Path,
        root: Path,
    ) -> Step:
        """The rules; what they need of the node is given back with the stack. Raises SeawayError."""
        options = asked.options
        found = await self._network(stack, asked)
        profile = self.apparmor.profile_for(Security())
        await self.apparmor.ensure_loaded(profile)
        compiled = await asyncio.to_thread(self.seccomp.default_compiled, self.runtime_name)
        rules = StepRules(
            cgroup=self.cgroups.steps(asked.id, options.resources.cgroup_parent),
            network=found.path,
            files=str(directory),
            sources=(*(str(directory / name) for name in _SHOWN), str(root / "store"), str(root / "mounts")),
            shared=str(root / "mounts"),
            seccomp=None if compiled else self.seccomp.default_section(),
            annotations={seccomp_bpf.ANNOTATION: compiled} if compiled else {},
            apparmor=profile,
            limits=self._limits(options.resources),
            rlimits=rlimits(options.resources, self.open_files),
            grantable=self.grantable,
            shm_size=options.shm_size,
            cgroup_v2=self.host.mode is CgroupMode.V2,
        )
        files = etc_files(options.extra_hosts, found)
        files("check")
        return Step(rules, files)

    def _limits(self, asked: Resources) -> dict[str, Any]:
        return limits(asked, {}, weights=cgroups.has_weights(self.host), cgroup_v2=self.host.mode is CgroupMode.V2)

    async def _network(self, stack: AsyncExitStack, asked: StartBuild) -> StepNetwork:
        mode = asked.options.network
        if mode == "host":
            return StepNetwork(None)
        if mode == "none":
            return StepNetwork("")
        if mode.startswith(JOINED):
            return StepNetwork(self.network_of(mode.removeprefix(JOINED)))
        try:
            return await self.networks.join(stack, asked.id, mode, asked.joins)
        except (NetworkError, ResolverError, OSError) as error:
            raise internal(f"no network for the build: {error}") from error


def etc_files(extra_hosts: Sequence[str], network: StepNetwork) -> Callable[[str], Mapping[str, str]]:
    """What gives a step's files by its hostname. Raises SeawayError."""

    def files(hostname: str) -> Mapping[str, str]:
        try:
            table = hosts.hosts_file(
                hostname=hostname,
                domainname="",
                addresses=list(network.addresses),
                extra_hosts=extra_hosts,
                gateway=network.gateway,
                links=(),
            )
        except NetworkError as error:
            raise bad_request(str(error)) from error
        return {"hosts": table, "hostname": hosts.hostname_file(hostname), "resolv.conf": network.resolv_conf()}

    return files


def platform_arguments(machine: str = "") -> dict[str, str]:
    """The arguments that each Dockerfile has: builder and target are this node."""
    architecture, variant = _ARCHITECTURES.get(machine or platform.machine(), (machine or platform.machine(), ""))
    name = "/".join(part for part in ("linux", architecture, variant) if part)
    parts = {"PLATFORM": name, "OS": "linux", "ARCH": architecture, "VARIANT": variant}
    return {f"{side}{part}": value for side in ("TARGET", "BUILD") for part, value in parts.items()}
