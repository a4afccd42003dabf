"""The dashboard of containers."""

from typing import Final

from deploy.grafana.model import Dashboard, Panel, Variable
from deploy.grafana.nodes import NODE_CHOICE
from deploy.grafana.queries import rate, selector, total

_CHOSEN: Final = 'node=~"$node",name=~"$name",name!=""'
_CONTAINER_CHOICE: Final = Variable("name", 'label_values(container_last_seen{node=~"$node"}, name)')


def _now(metric: str, by: str = "name") -> str:
    return total(metric, _CHOSEN, by)


def _rate(metric: str, by: str = "name") -> str:
    return rate(metric, _CHOSEN, by)


def _faults(kind: str) -> str:
    return rate("container_memory_failures_total", f'{_CHOSEN},scope="container",failure_type="{kind}"', "name")


def _each(title: str, unit: str, query: str) -> Panel:
    """One series for each container."""
    return Panel(title, unit, {"{{name}}": query})


def _two(title: str, unit: str, first: tuple[str, str], second: tuple[str, str], by: str = "{{name}}") -> Panel:
    """Two series for each container: (legend, query) of each."""
    return Panel(title, unit, {f"{by} {legend}": query for legend, query in (first, second)})


_LIMIT: Final = f"sum by (name) ({selector('container_spec_memory_limit_bytes', _CHOSEN)} > 0)"
_RESTARTS: Final = selector("seaway_container_restarts_total", _CHOSEN)
_STARTED: Final = f"max by (name) ({selector('container_start_time_seconds', _CHOSEN)})"

CONTAINER: Final = Dashboard(
    "container",
    "Container",
    {
        "Now": (
            Panel(
                "Running",
                "short",
                {
                    "CPUs": _rate("container_cpu_usage_seconds_total"),
                    "Working set (bytes)": _now("container_memory_working_set_bytes"),
                    "Processes": _now("container_processes"),
                    "Up (days)": f"(time() - {_STARTED}) / 86400",
                },
                "table",
                24,
                key="name",
            ),
        ),
        "State": (
            Panel(
                "All",
                "none",
                {
                    "Restarts": _now("seaway_container_restarts_total"),
                    "Last exit code": _now("seaway_container_exit_code"),
                    "Killed for want of memory": _now("seaway_container_oom_killed"),
                    "Healthy (-1: no check)": _now("container_health_state"),
                },
                "table",
                24,
                key="name",
            ),
            Panel("By state", "none", {"{{state}}": total("seaway_container_state", _CHOSEN, "state")}, stacked=True),
            _each("Restarts in ten minutes", "none", f"sum by (name) (increase({_RESTARTS}[10m]))"),
        ),
        "CPU": (
            _each("Used", "none", _rate("container_cpu_usage_seconds_total")),
            _two(
                "In user mode and in the kernel",
                "none",
                ("user", _rate("container_cpu_user_seconds_total")),
                ("kernel", _rate("container_cpu_system_seconds_total")),
            ),
            _each(
                "Held back by the quota, share of periods",
                "percentunit",
                f"{_rate('container_cpu_cfs_throttled_periods_total')} / {_rate('container_cpu_cfs_periods_total')}",
            ),
            _two(
                "Waiting for a CPU, share of time",
                "percentunit",
                ("some", _rate("container_pressure_cpu_waiting_seconds_total")),
                ("all", _rate("container_pressure_cpu_stalled_seconds_total")),
            ),
        ),
        "Memory": (
            _each("Working set", "bytes", _now("container_memory_working_set_bytes")),
            _each(
                "Working set, share of the limit",
                "percentunit",
                f"{_now('container_memory_working_set_bytes')} / {_LIMIT}",
            ),
            _two(
                "Anonymous memory and page cache",
                "bytes",
                ("anonymous", _now("container_memory_rss")),
                ("cache", _now("container_memory_cache")),
            ),
            _two(
                "Limit hit, processes killed",
                "none",
                ("limit hit", _now("container_memory_failcnt")),
                ("killed", _now("container_oom_events_total")),
            ),
            _two(
                "Waiting for memory, share of time",
                "percentunit",
                ("some", _rate("container_pressure_memory_waiting_seconds_total")),
                ("all", _rate("container_pressure_memory_stalled_seconds_total")),
            ),
            _two(
                "Page faults",
                "ops",
                ("minor", _faults("pgfault")),
                ("major", _faults("pgmajfault")),
            ),
        ),
        "Network": (
            Panel(
                "Bytes",
                "Bps",
                {
                    "{{name}} {{interface}} received": _rate(
                        "container_network_receive_bytes_total", "name, interface"
                    ),
                    "{{name}} {{interface}} sent": _rate("container_network_transmit_bytes_total", "name, interface"),
                },
            ),
            _two(
                "Packets",
                "pps",
                ("received", _rate("container_network_receive_packets_total")),
                ("sent", _rate("container_network_transmit_packets_total")),
            ),
            _two(
                "Packets dropped",
                "pps",
                ("received", _rate("container_network_receive_packets_dropped_total")),
                ("sent", _rate("container_network_transmit_packets_dropped_total")),
            ),
            _two(
                "Errors",
                "pps",
                ("received", _rate("container_network_receive_errors_total")),
                ("sent", _rate("container_network_transmit_errors_total")),
            ),
        ),
        "Disk and processes": (
            _two(
                "Disk",
                "Bps",
                ("read", _rate("container_fs_reads_bytes_total")),
                ("written", _rate("container_fs_writes_bytes_total")),
            ),
            _two(
                "Disk operations",
                "iops",
                ("reads", _rate("container_fs_reads_total")),
                ("writes", _rate("container_fs_writes_total")),
            ),
            _two(
                "Waiting for a disk, share of time",
                "percentunit",
                ("some", _rate("container_pressure_io_waiting_seconds_total")),
                ("all", _rate("container_pressure_io_stalled_seconds_total")),
            ),
            _each("Writable layer", "bytes", _now("container_fs_usage_bytes")),
            _each("Open files", "none", _now("container_file_descriptors")),
            _two(
                "Processes and threads",
                "none",
                ("processes", _now("container_processes")),
                ("threads", _now("container_threads")),
            ),
        ),
    },
    (NODE_CHOICE, _CONTAINER_CHOICE),
)
