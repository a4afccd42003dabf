"""What a node says of a new container's spec: whether it could ever start here, and what only the node knows of it."""

from seaway_agent.container.hook import Peers
from seaway_agent.container.hooks import shared_namespaces
from seaway_agent.node import checks
from seaway_agent.oci import capabilities, devices
from seaway_agent.runtime.container_cgroups import ContainerCgroups
from seaway_agent.runtime.runtimes import Runtimes
from seaway_agent.runtime.seccomp import Seccomp
from seaway_agent.volumes.volumes import Volumes
from seaway_contracts.containers import ContainerSpec
from seaway_contracts.errors import bad_request


class SpecChecks:
    """`init` is the program of `--init`, empty where the node has none."""

    def __init__(
        self,
        runtimes: Runtimes,
        cgroups: ContainerCgroups,
        seccomp: Seccomp,
        volumes: Volumes,
        peers: Peers,
        init: str,
    ) -> None:
        self._runtimes = runtimes
        self._cgroups = cgroups
        self._seccomp = seccomp
        self._volumes = volumes
        self._peers = peers
        self._init = init

    def check(self, spec: ContainerSpec) -> None:
        """Refuse what could never start, before anything is made. Raises SeawayError."""
        self._runtimes.find(spec.runtime)
        if spec.command.init and not self._init:
            raise bad_request("--init needs tini or catatonit on the node: install the package tini")
        try:
            capabilities.effective(spec.security.cap_add, spec.security.cap_drop, spec.security.privileged)
            devices.rules(spec, ())
        except ValueError as error:
            raise bad_request(str(error)) from error
        self._seccomp.section(spec)
        checks.check(spec.resources, self._cgroups.host)

    def warnings(self, spec: ContainerSpec) -> tuple[str, ...]:
        """A sentence for each limit that this kernel discards."""
        return checks.warnings(spec.resources, self._cgroups.host)

    def completed(self, spec: ContainerSpec) -> ContainerSpec:
        """With the runtime's name, as the default may be another after the agent's next start, and with what inspect
        shows and only the node knows: where volumes are, the cgroup namespace, the hostname.
        """
        spaces = spec.namespaces
        private = self._cgroups.v2 and not spec.security.privileged
        return spec.model_copy(
            update={
                "runtime": self._runtimes.find(spec.runtime)[0],
                "mounts": tuple(
                    mount.model_copy(update={"host_path": str(self._volumes.path(mount.source))})
                    if mount.type == "volume"
                    else mount
                    for mount in spec.mounts
                ),
                "network": shared_namespaces.named(self._peers, spec),
                "namespaces": spaces.model_copy(update={"cgroup": spaces.cgroup or ("private" if private else "host")}),
            }
        )
