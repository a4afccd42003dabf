"""The Docker dialect as pure functions: references, filters, framing, log lines, API bodies, error sentences."""
