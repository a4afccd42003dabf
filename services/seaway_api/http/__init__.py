"""The HTTP server below Docker's API: sockets, TLS, connections and their hijacking, dispatch, replies."""
