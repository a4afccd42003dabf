"""`seaway doctor`: all checks that make sense on this machine."""

from collections.abc import Iterator

from seaway_cli import doctor_host, doctor_node, doctor_suite
from seaway_cli.doctor_finding import Finding, note
from seaway_cli.layout import Layout


def examine(layout: Layout) -> Iterator[Finding]:
    """The machine; then the suite that it has, or the node that it is. Raises CliError for settings that can't be read.

    Checks that depend on another one that has failed are left out.
    """
    is_node = layout.agent_config.exists() or layout.node_key.exists()
    is_suite = layout.marker.exists() or layout.run_marker.exists()
    yield from doctor_host.examine(doctor_host.Host(layout.root), needs_nats=not is_node)
    if is_node:
        yield from doctor_node.examine(doctor_node.Node.of(layout))
    if is_suite:
        yield from doctor_suite.examine(layout)
    if not is_node and not is_suite:
        yield doctor_suite.metrics_ports()
        text = f"{layout.root} has neither a suite nor a node that joined"
        yield note("suite", text, "`seaway up` starts a suite, `seaway join` makes this machine a node of another one")
