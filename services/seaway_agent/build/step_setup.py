"""What a node has for the steps of its builds, put together."""

from seaway_agent.build.step_rules import StepSetup
from seaway_agent.container.hooks.shared_namespaces import Peers, network_pid
from seaway_agent.kernel import procs
from seaway_agent.kernel.cgroup_text import CgroupLayout, builds_cgroup
from seaway_agent.network.port import Networks
from seaway_agent.node.programs import Programs
from seaway_agent.oci import capabilities
from seaway_agent.runtime.apparmor import AppArmor
from seaway_agent.runtime.seccomp import Seccomp


def step_setup(
    programs: Programs,
    *,
    networks: Networks,
    seccomp: Seccomp,
    apparmor: AppArmor,
    host: CgroupLayout,
    suite: str,
    open_files: tuple[int, int] | None,
    peer: Peers,
) -> StepSetup:
    """Steps run by the node's first runtime, with the capabilities that the agent could give.

    `peer` finds the container whose network a step joins.
    """
    name, program = programs.runtimes.find("")
    return StepSetup(
        networks=networks,
        seccomp=seccomp,
        apparmor=apparmor,
        host=host,
        parent=builds_cgroup(suite),
        runtime_name=name,
        runtime=program,
        self_copying=programs.self_copying,
        grantable=capabilities.in_mask(procs.bounding_set()),
        open_files=open_files,
        network_of=lambda container: f"/proc/{network_pid(peer, container)}/ns/net",
    )
