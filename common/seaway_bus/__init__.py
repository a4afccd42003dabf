"""The bus: typed calls, durable events and byte streams over NATS. The only package that imports nats."""
