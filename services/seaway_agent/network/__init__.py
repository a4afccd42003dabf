"""The node's container networking: networks of several drivers, sandboxes with endpoints in them, published ports.

Layers, each importing only those before it:

1. pure: ``names``, ``errors``, ``port`` (for the rest of the agent), ``ipam``, ``subnets``, ``ports``,
   ``ruleset``, ``resolvconf``, ``hosts``; the wire formats ``attributes``, ``rtnl``, ``nfnl``, ``ctnl``;
2. kernel: ``netlink`` (sockets), ``rtnetlink`` (pyroute2), ``netns``, ``thread``, ``host_sockets``, ``nft``,
   ``conntrack``, ``subnet_lock``;
3. drivers: ``driver``, and the first one, ``bridge`` with its ``veths``;
4. ``network_table``, ``sandbox``, ``sandboxes``, ``publisher``: synchronous, in the network's own thread; ``pool``:
   ready sandboxes; ``relay``, ``datagrams``: ports on IPv6 addresses, in the event loop;
5. ``networks``, ``published``: the asyncio facades; and ``fake``, the in-memory networks for tests.
"""
