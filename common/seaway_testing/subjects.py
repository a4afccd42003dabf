"""NATS subject matching, for the fake server."""


def matches(pattern: str, subject: str) -> bool:
    """Whether a subscription to `pattern` gets what is published on `subject` (`*` one token, `>` one or more)."""
    wanted, given = pattern.split("."), subject.split(".")
    for place, token in enumerate(wanted):
        if token == ">":
            return len(given) > place
        if place >= len(given) or token not in ("*", given[place]):
            return False
    return len(wanted) == len(given)
