"""The list of hooks of which each run is made."""

from functools import partial

from seaway_agent.container.held_networks import HeldNetworks
from seaway_agent.container.hook import Peers, Planning, RunHooks
from seaway_agent.container.hooks.binds import BindsHook
from seaway_agent.container.hooks.confinement import ConfinementHook
from seaway_agent.container.hooks.devices import DevicesHook
from seaway_agent.container.hooks.dns import DnsHook
from seaway_agent.container.hooks.etc_files import EtcFilesHook
from seaway_agent.container.hooks.image_mounts import ImageMountsHook
from seaway_agent.container.hooks.init import InitHook
from seaway_agent.container.hooks.links import LinksHook
from seaway_agent.container.hooks.mounted_volumes import MountedVolumesHook
from seaway_agent.container.hooks.network import NetworkHook
from seaway_agent.container.hooks.ports import PortsHook
from seaway_agent.container.hooks.rootfs import RootfsHook
from seaway_agent.container.hooks.shared_namespaces import SharedNamespacesHook
from seaway_agent.container.hooks.volumes import VolumesHook
from seaway_agent.dns.port import Resolver
from seaway_agent.layout import Layout
from seaway_agent.network.port import DEFAULT_NETWORK, Networks
from seaway_agent.network.published import PublishedPorts
from seaway_agent.runtime.apparmor import AppArmor
from seaway_agent.runtime.runtimes import Runtimes
from seaway_agent.runtime.seccomp import Seccomp
from seaway_agent.volumes.images import ImageMounts
from seaway_agent.volumes.mounted import MountedVolumes
from seaway_agent.volumes.mounts import VolumeMounts


def run_hooks(
    *,
    rootfs: RootfsHook,
    apparmor: AppArmor,
    seccomp: Seccomp,
    runtimes: Runtimes,
    networks: Networks,
    held: HeldNetworks,
    resolver: Resolver,
    published: PublishedPorts,
    volumes: VolumeMounts,
    mounted: MountedVolumes,
    images: ImageMounts,
    layout: Layout,
    peers: Peers,
    init: str,
) -> RunHooks:
    """In the order in which they prepare a run: each sees what those before it have contributed.

    A new concern is a file in `container/hooks` and a line here.
    """
    planning = Planning(
        (
            BindsHook(runtimes, layout),
            LinksHook(peers),
            DevicesHook(),
            InitHook(init),
            VolumesHook(volumes, runtimes, layout),
            SharedNamespacesHook(peers),
            EtcFilesHook(peers, layout, partial(_host_address, networks)),
        )
    )
    confinement = ConfinementHook(apparmor, seccomp, runtimes)
    network = (NetworkHook(networks, held), DnsHook(resolver, held), PortsHook(published))
    return RunHooks((confinement, rootfs, *network, MountedVolumesHook(mounted), ImageMountsHook(images), planning))


def _host_address(networks: Networks) -> str:
    """The host's on the default network; empty before that is made."""
    found = (network.gateway for network in networks.present() if network.id == DEFAULT_NETWORK)
    return str(next(found, None) or "")
