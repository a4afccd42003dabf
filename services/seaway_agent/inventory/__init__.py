"""The containers of this node."""
