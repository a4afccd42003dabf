"""Parts of PromQL that many panels share. Pure."""


def selector(metric: str, labels: str = "") -> str:
    """A metric with label matchers, if there are any."""
    return f"{metric}{{{labels}}}" if labels else metric


def total(metric: str, labels: str = "", by: str = "") -> str:
    """The sum of a gauge by these labels."""
    return f"{_sum(by)} ({selector(metric, labels)})"


def rate(metric: str, labels: str = "", by: str = "") -> str:
    """The sum of a counter's rates by these labels."""
    return f"{_sum(by)} (rate({selector(metric, labels)}[$__rate_interval]))"


def quantile(share: float, histogram: str, labels: str = "", by: str = "") -> str:
    """A quantile of a histogram by these labels."""
    return f"histogram_quantile({share}, {rate(f'{histogram}_bucket', labels, f'le, {by}' if by else 'le')})"


def top(query: str) -> str:
    """The ten series with the highest values: a thousand nodes are too many for a panel."""
    return f"topk(10, {query})"


def _sum(by: str) -> str:
    return f"sum by ({by})" if by else "sum"
