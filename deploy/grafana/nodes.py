"""The dashboards of the cluster and of nodes. Names with a colon are recorded by deploy/prometheus/rules."""

from typing import Final

from deploy.grafana.model import Dashboard, Panel, Variable, stat
from deploy.grafana.queries import quantile, rate, top, total

NODE_CHOICE: Final = Variable("node", "label_values(machine_cpu_cores, node)")
_OF_NODE: Final = 'node=~"$node"'
_CONTAINERS: Final = f'{_OF_NODE},name!=""'
"""Without the host's own samples."""
_OF_AGENT: Final = 'service="agent",node=~"$node"'
_LAUNCH: Final = "seaway_agent_launch_seconds"
_ACTIONS: Final = "engine_daemon_container_actions_seconds"
_PLACEMENT: Final = "seaway_scheduler_placement_seconds"
_ADDRESSES: Final = "seaway_network_addresses_used / seaway_network_addresses"


def _reserved(metric: str) -> str:
    return f'sum({metric}{{kind="reserved"}}) / sum({metric}{{kind="capacity"}})'


def _by_kind(metric: str) -> dict[str, str]:
    return {"{{kind}}": total(metric, _OF_NODE, "kind")}


CLUSTER: Final = Dashboard(
    "cluster",
    "Cluster",
    {
        "Now": (
            stat("Nodes down", "none", 'max(seaway_metadata_nodes{state="down"})', bad=1),
            stat("Services down", "none", 'count(up{job="seaway"} == 0) or vector(0)', bad=1),
            stat("Running containers", "none", 'sum(seaway_agent_containers{state="running"})'),
            stat("CPUs in use", "percentunit", "sum(node:container_cpu_usage_seconds:rate5m) / sum(machine_cpu_cores)"),
            stat(
                "Memory in use",
                "percentunit",
                "sum(node:container_memory_working_set_bytes:sum) / sum(machine_memory_bytes)",
            ),
            stat("API requests", "reqps", rate("seaway_api_requests_total")),
        ),
        "Containers": (
            Panel("By state", "none", {"{{state}}": total("seaway_agent_containers", by="state")}, stacked=True),
            Panel("Exits by outcome", "ops", {"{{outcome}}": rate("seaway_agent_exits_total", by="outcome")}),
            Panel(
                "Time of a launch",
                "s",
                {
                    "median": quantile(0.5, _LAUNCH, 'phase="total"'),
                    "99 %": quantile(0.99, _LAUNCH, 'phase="total"'),
                },
            ),
            Panel("Failed launches", "ops", {"{{node}}": top(rate("seaway_agent_launch_failures_total", by="node"))}),
        ),
        "Placement": (
            Panel(
                "Placed and refused", "ops", {"{{outcome}}": rate("seaway_scheduler_placements_total", by="outcome")}
            ),
            Panel("Refused by filter", "ops", {"{{filter}}": rate("seaway_scheduler_refusals_total", by="filter")}),
            Panel(
                "Time to choose a node",
                "s",
                {"median": quantile(0.5, _PLACEMENT), "99 %": quantile(0.99, _PLACEMENT)},
            ),
            Panel(
                "Share that is reserved",
                "percentunit",
                {
                    "CPUs": _reserved("seaway_node_cpu_cores"),
                    "memory": _reserved("seaway_node_memory_bytes"),
                },
            ),
            Panel(
                "Addresses in use, share of the network's",
                "percentunit",
                {"{{network}} {{subnet}}": top(f"max by (network, subnet) ({_ADDRESSES})")},
            ),
            Panel("Records", "none", {"{{kind}}": "max by (kind) (seaway_metadata_records)"}),
        ),
        "Nodes (the ten highest)": (
            Panel(
                "CPU of containers, share of the node's",
                "percentunit",
                {"{{node}}": top("node:container_cpu_usage_seconds:rate5m / on (node) machine_cpu_cores")},
            ),
            Panel(
                "Memory of containers, share of the node's",
                "percentunit",
                {"{{node}}": top("node:container_memory_working_set_bytes:sum / on (node) machine_memory_bytes")},
            ),
            Panel("Containers", "none", {"{{node}}": top(total("seaway_agent_containers", by="node"))}),
            Panel(
                "Network of containers",
                "Bps",
                {
                    "{{node}} received": top("node:container_network_receive_bytes:rate5m"),
                    "{{node}} sent": top("node:container_network_transmit_bytes:rate5m"),
                },
            ),
        ),
    },
)

NODE: Final = Dashboard(
    "node",
    "Node",
    {
        "Now": (
            stat("CPUs", "none", total("machine_cpu_cores", _OF_NODE)),
            stat("Memory", "bytes", total("machine_memory_bytes", _OF_NODE)),
            stat("Running containers", "none", total("seaway_agent_containers", f'state="running",{_OF_NODE}')),
            stat("Agents that aren't heard", "none", f"count(up{{{_OF_AGENT}}} == 0) or vector(0)", 1),
            stat("Events in the outbox", "none", total("seaway_bus_outbox_events", _OF_AGENT)),
            stat("Containers left out", "none", total("seaway_agent_metrics_dropped_total", _OF_NODE), bad=1),
        ),
        "Containers (the ten highest)": (
            Panel("CPU", "none", {"{{name}}": top(rate("container_cpu_usage_seconds_total", _CONTAINERS, "name"))}),
            Panel(
                "Memory (working set)",
                "bytes",
                {"{{name}}": top(total("container_memory_working_set_bytes", _CONTAINERS, "name"))},
            ),
            Panel(
                "Received", "Bps", {"{{name}}": top(rate("container_network_receive_bytes_total", _CONTAINERS, "name"))}
            ),
            Panel(
                "Sent", "Bps", {"{{name}}": top(rate("container_network_transmit_bytes_total", _CONTAINERS, "name"))}
            ),
        ),
        "All containers": (
            Panel("By state", "none", {"{{state}}": total("seaway_agent_containers", _OF_NODE, "state")}, stacked=True),
            Panel("Exits by outcome", "ops", {"{{outcome}}": rate("seaway_agent_exits_total", _OF_NODE, "outcome")}),
        ),
        "Resources": (
            Panel("CPUs", "none", _by_kind("seaway_node_cpu_cores")),
            Panel("Memory", "bytes", _by_kind("seaway_node_memory_bytes")),
            Panel("Disk of the agent's data", "bytes", _by_kind("seaway_node_disk_bytes")),
            Panel("Processes", "none", _by_kind("seaway_node_pids")),
            Panel("Volumes", "none", _by_kind("seaway_agent_volumes")),
            Panel(
                "Networks and endpoints",
                "none",
                {
                    "networks": total("seaway_agent_networks", _OF_NODE),
                    "endpoints": total("seaway_agent_network_endpoints", _OF_NODE),
                },
            ),
            Panel("DNS queries", "ops", {"{{outcome}}": rate("seaway_agent_dns_queries_total", _OF_NODE, "outcome")}),
            Panel(
                "Health probes",
                "ops",
                {
                    "all": rate("engine_daemon_health_checks_total", _OF_AGENT),
                    "failed": rate("engine_daemon_health_checks_failed_total", _OF_AGENT),
                },
            ),
        ),
        "Agent": (
            Panel("Actions on containers, 95 %", "s", {"{{action}}": quantile(0.95, _ACTIONS, _OF_AGENT, "action")}),
            Panel("Steps of a launch, 95 %", "s", {"{{phase}}": quantile(0.95, _LAUNCH, _OF_NODE, "phase")}),
            Panel("Network sandboxes ready", "none", {"{{mode}}": total("seaway_agent_pool_ready", _OF_NODE, "mode")}),
            Panel("CPU", "none", {"{{node}}": top(rate("process_cpu_seconds_total", _OF_AGENT, "node"))}),
            Panel("Memory", "bytes", {"{{node}}": top(total("process_resident_memory_bytes", _OF_AGENT, "node"))}),
        ),
    },
    (NODE_CHOICE,),
)
