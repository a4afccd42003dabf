"""DNS in networks of users: each sandbox has a resolver at 127.0.0.11, as with Docker.

One process per agent, ``resolver/``, answers for all sandboxes. It outlives the agent, which is the source of what it
answers. ``port`` is for the rest of the agent; ``node_resolver`` implements it on the process, ``fake`` in memory.
"""
