"""The dashboards of the services (rate, errors and duration of their requests) and of events."""

from typing import Final

from deploy.grafana.model import Dashboard, Panel, Variable, stat
from deploy.grafana.queries import quantile, rate, top, total

_SERVICE_CHOICE: Final = Variable("service", 'label_values(up{job="seaway"}, service)')
_CHOSEN: Final = 'service=~"$service"'
_API_SECONDS: Final = "seaway_api_request_seconds"

SERVICES: Final = Dashboard(
    "services",
    "Services",
    {
        "Docker API": (
            Panel(
                "Requests by route",
                "reqps",
                {"{{method}} {{route}}": top(rate("seaway_api_requests_total", by="method, route"))},
            ),
            Panel(
                "Requests by status",
                "reqps",
                {"{{status}}": rate("seaway_api_requests_total", by="status")},
                stacked=True,
            ),
            Panel(
                "Time of a request, 99 %, by route",
                "s",
                {"{{method}} {{route}}": top(quantile(0.99, _API_SECONDS, by="method, route"))},
            ),
            Panel(
                "Time of a request",
                "s",
                {"median": quantile(0.5, _API_SECONDS), "99 %": quantile(0.99, _API_SECONDS)},
            ),
            Panel(
                "Requests not answered yet",
                "none",
                {"{{method}} {{route}}": top(total("seaway_api_requests_in_hand", by="method, route"))},
            ),
        ),
        "Calls over the bus": (
            Panel("Calls served", "reqps", {"{{call}}": top(rate("seaway_bus_served_total", _CHOSEN, "call"))}),
            Panel("By outcome", "reqps", {"{{code}}": rate("seaway_bus_served_total", _CHOSEN, "code")}, stacked=True),
            Panel(
                "Time to serve, 99 %",
                "s",
                {"{{call}}": top(quantile(0.99, "seaway_bus_served_seconds", _CHOSEN, "call"))},
            ),
            Panel(
                "Time for the caller, 99 %",
                "s",
                {"{{call}}": top(quantile(0.99, "seaway_bus_call_seconds", _CHOSEN, "call"))},
            ),
            Panel(
                "Not answered yet",
                "none",
                {"{{service}} {{node}}": top(total("seaway_bus_requests_in_hand", _CHOSEN, "service, node"))},
            ),
            Panel("Byte streams", "Bps", {"{{service}}": rate("seaway_bus_stream_bytes_total", _CHOSEN, "service")}),
        ),
        "Processes": (
            Panel("Up", "none", {"{{service}} {{node}}": f'min by (service, node) (up{{job="seaway",{_CHOSEN}}})'}),
            Panel(
                "Event loop's delay, 99 %",
                "s",
                {
                    "{{service}} {{node}}": top(
                        quantile(0.99, "seaway_event_loop_lag_seconds", _CHOSEN, "service, node")
                    )
                },
            ),
            Panel(
                "CPU",
                "none",
                {
                    "{{service}} {{node}}": top(
                        rate("process_cpu_seconds_total", f'job="seaway",{_CHOSEN}', "service, node")
                    )
                },
            ),
            Panel(
                "Memory",
                "bytes",
                {
                    "{{service}} {{node}}": top(
                        total("process_resident_memory_bytes", f'job="seaway",{_CHOSEN}', "service, node")
                    )
                },
            ),
            Panel(
                "Open files",
                "none",
                {"{{service}} {{node}}": top(total("process_open_fds", f'job="seaway",{_CHOSEN}', "service, node"))},
            ),
            Panel(
                "Reconnects to NATS",
                "none",
                {"{{service}} {{node}}": top(total("seaway_bus_reconnects_total", _CHOSEN, "service, node"))},
            ),
            Panel(
                "Series left out", "none", {"{{instance}}": top(total("seaway_metrics_left_out_series", by="instance"))}
            ),
        ),
        "Images": (
            Panel("Pulls", "ops", {"{{outcome}}": rate("seaway_image_pulls_total", by="outcome")}),
            Panel("Collected", "Bps", {"bytes": rate("seaway_image_collected_bytes_total")}),
        ),
    },
    (_SERVICE_CHOICE,),
)

_SHARE: Final = "seaway_bus_outbox_bytes / (seaway_bus_outbox_bound_bytes > 0)"

EVENTS: Final = Dashboard(
    "events",
    "Events",
    {
        "Now": (
            stat("Events", "eps", "max(rate(engine_daemon_events_total[$__rate_interval]))"),
            stat("Waiting in outboxes", "none", total("seaway_bus_outbox_events"), bad=1000),
            stat("Fullest outbox", "percentunit", f"max({_SHARE})", bad=0.5),
            stat("Dropped", "none", "sum(seaway_bus_outbox_dropped_total) or vector(0)", bad=1),
            stat("Purged from the stream", "none", "sum(seaway_metadata_purged_events_total) or vector(0)", bad=1),
            stat("From the wrong node", "none", "sum(seaway_bus_foreign_total) or vector(0)", bad=1),
        ),
        "Stream": (
            Panel("Received", "eps", {"{{service}} {{way}}": rate("seaway_bus_feed_events_total", by="service, way")}),
            Panel(
                "Received more than once", "eps", {"{{service}}": rate("seaway_bus_feed_repeats_total", by="service")}
            ),
            Panel(
                "From an event's time to its delivery, 99 %",
                "s",
                {"{{service}}": quantile(0.99, "seaway_bus_feed_lag_seconds", by="service")},
            ),
            Panel(
                "Time until the stream has an event",
                "s",
                {
                    "median": quantile(0.5, "seaway_bus_store_seconds"),
                    "99 %": quantile(0.99, "seaway_bus_store_seconds"),
                },
            ),
            Panel(
                "Readers of /events",
                "none",
                {
                    "reading": total("seaway_api_event_readers"),
                    "cut off": total("seaway_api_event_readers_cut_off_total"),
                    "events that the slowest is behind": "max(seaway_api_event_readers_behind)",
                },
            ),
        ),
        "Outboxes": (
            Panel(
                "Age of the oldest event",
                "s",
                {"{{service}} {{node}}": top("max by (service, node) (seaway_bus_outbox_oldest_seconds)")},
            ),
            Panel(
                "Events waiting",
                "none",
                {"{{service}} {{node}}": top(total("seaway_bus_outbox_events", by="service, node"))},
            ),
            Panel(
                "Share of the bound", "percentunit", {"{{service}} {{node}}": top(f"max by (service, node) ({_SHARE})")}
            ),
            Panel(
                "Repeated attempts to store",
                "ops",
                {"{{service}} {{node}}": top(rate("seaway_bus_outbox_retries_total", by="service, node"))},
            ),
            Panel("Dropped", "ops", {"{{event}}": rate("seaway_bus_outbox_dropped_total", by="event")}),
        ),
        "Records and logs": (
            Panel("Records not in their bucket yet", "none", {"records": total("seaway_metadata_unwritten_records")}),
            Panel(
                "Lines of the log driver nats",
                "ops",
                {
                    "published": rate("seaway_agent_log_lines_published_total"),
                    "dropped": rate("seaway_agent_log_lines_dropped_total"),
                },
            ),
        ),
    },
)
