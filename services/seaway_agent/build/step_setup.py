"""What a node has for the steps of its builds, put together."""

from collections.abc import Sequence
from dataclasses import dataclass

from seaway_agent.build.build_cgroup import BuildCgroups
from seaway_agent.build.step_networks import StepNetworks
from seaway_agent.build.step_rules import NamespacePath, StepSetup
from seaway_agent.kernel import procs
from seaway_agent.oci import capabilities
from seaway_agent.runtime.apparmor import AppArmor
from seaway_agent.runtime.seccomp import Seccomp


@dataclass(frozen=True)
class StepRuntime:
    """What runs steps, by name and path. `self_copying`: the runtimes that execute themselves a second time."""

    name: str
    path: str
    self_copying: Sequence[str]


def step_setup(
    networks: StepNetworks,
    seccomp: Seccomp,
    apparmor: AppArmor,
    cgroups: BuildCgroups,
    runtime: StepRuntime,
    open_files: tuple[int, int] | None,
    network_of: NamespacePath,
) -> StepSetup:
    """Steps get the capabilities that the agent could give. `network_of`: of a container whose network a step joins."""
    return StepSetup(
        networks=networks,
        seccomp=seccomp,
        apparmor=apparmor,
        host=cgroups.host,
        cgroups=cgroups,
        runtime_name=runtime.name,
        runtime=runtime.path,
        self_copying=runtime.self_copying,
        grantable=capabilities.in_mask(procs.bounding_set()),
        open_files=open_files,
        network_of=network_of,
    )
