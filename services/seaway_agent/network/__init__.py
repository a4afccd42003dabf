"""The node's container networking: one bridge, network sandboxes, NAT and published ports.

Layers, each importing only those before it:

1. pure: ``names``, ``errors``, ``ipam``, ``subnets``, ``ports``, ``ruleset``, ``resolvconf``, ``hosts``,
   and the wire formats ``attributes``, ``rtnl``, ``nfnl``, ``ctnl``;
2. kernel: ``netlink`` (sockets), ``netns``, ``thread``, ``host_sockets``, ``nft``, ``conntrack``, ``bridge``,
   ``sandbox``, ``sandboxes``, ``publisher``: synchronous, run in the network's own thread;
3. ``pool``: ready sandboxes;
4. ``driver``: the asyncio facade, the only module that the rest of the agent needs.
"""
