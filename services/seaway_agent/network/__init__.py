"""The node's container networking: networks of several drivers, sandboxes with endpoints in them, published ports.

Layers, each importing only those before it:

1. pure: ``names``, ``errors``, ``port`` (what the rest of the agent knows), ``ipam``, ``subnets``, ``ports``,
   ``ruleset``, ``resolvconf``, ``hosts``, and the wire formats ``attributes``, ``rtnl``, ``nfnl``, ``ctnl``;
2. kernel: ``netlink`` (sockets), ``rtnetlink`` (pyroute2), ``netns``, ``thread``, ``host_sockets``, ``nft``,
   ``conntrack``;
3. drivers: ``driver``, and the first one, ``bridge`` with its ``veths``;
4. ``made``, ``sandbox``, ``sandboxes``, ``publisher``: synchronous, run in the network's own thread; ``pool``: ready
   sandboxes;
5. ``networks``, ``published``: the asyncio facades; and ``fake``, the networks' twin in memory.
"""
