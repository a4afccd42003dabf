"""The Status column of `docker ps`, as the daemon words it (container.State.String, go-units HumanDuration)."""

from seaway_docker.timestamps import HOUR, MINUTE, SECOND


def human_duration(span_ns: int) -> str:
    """`Less than a second`, `5 minutes`, `About an hour`, `3 weeks`."""
    seconds = span_ns // SECOND
    if seconds < 1:
        return "Less than a second"
    if seconds == 1:
        return "1 second"
    if seconds < 60:
        return f"{seconds} seconds"
    minutes = span_ns // MINUTE
    if minutes == 1:
        return "About a minute"
    if minutes < 60:
        return f"{minutes} minutes"
    return _human_hours((span_ns + HOUR // 2) // HOUR, span_ns // HOUR)


def _human_hours(rounded: int, full: int) -> str:
    if rounded == 1:
        return "About an hour"
    if rounded < 48:
        return f"{rounded} hours"
    if rounded < 24 * 7 * 2:
        return f"{rounded // 24} days"
    if rounded < 24 * 30 * 2:
        return f"{rounded // 24 // 7} weeks"
    if rounded < 24 * 365 * 2:
        return f"{rounded // 24 // 30} months"
    return f"{full // 24 // 365} years"


def status_text(
    state: str,
    *,
    now_ns: int,
    started_ns: int | None = None,
    finished_ns: int | None = None,
    exit_code: int = 0,
    health: str | None = None,
) -> str:
    """`state` is Docker's word (created, running, paused, restarting, removing, exited, dead), `health` starting,
    healthy, unhealthy, or none; times are None until they have come."""
    if state in ("running", "paused"):
        up = f"Up {human_duration(now_ns - (started_ns if started_ns is not None else now_ns))}"
        return f"{up} (Paused)" if state == "paused" else up + _health_suffix(health)
    if state == "removing":
        return "Removal In Progress"
    if state == "dead":
        return "Dead"
    if state == "created" or started_ns is None:
        return "Created"
    if finished_ns is None:
        return ""
    word = "Restarting" if state == "restarting" else "Exited"
    return f"{word} ({exit_code}) {human_duration(now_ns - finished_ns)} ago"


def _health_suffix(health: str | None) -> str:
    if not health or health == "none":
        return ""
    return " (health: starting)" if health == "starting" else f" ({health})"
