"""Whether traces are exported, and where to: nothing of OpenTelemetry is imported unless they are."""

import logging
import os
from collections.abc import Callable, Mapping
from typing import Final

from seaway_kit import tracing
from seaway_kit.settings import ServiceSettings

log = logging.getLogger(__name__)

_ENDPOINTS: Final = ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT")
_PATH: Final = "/v1/traces"


def endpoint_of(setting: str, env: Mapping[str, str]) -> str:
    """The URL that traces are sent to; empty where they are off.

    OpenTelemetry's variables count as its specification says: those for traces hold the whole URL, the others its base.
    """
    if env.get("OTEL_SDK_DISABLED", "").lower() == "true" or env.get("OTEL_TRACES_EXPORTER", "").lower() == "none":
        return ""
    if setting:
        return setting.rstrip("/") + _PATH
    whole, base = (env.get(name, "") for name in _ENDPOINTS)
    return whole or (base and base.rstrip("/") + _PATH)


def begin(service: str, settings: ServiceSettings, env: Mapping[str, str] = os.environ) -> Callable[[], None]:
    """Switch tracing on if it is wanted; what is returned sends the last spans, and takes two seconds at most.

    At the log level debug each span is a line of the log, whether it is exported or not.
    """
    if settings.log_level == "debug":
        tracing.use(tracing.LogTracer())
    endpoint = endpoint_of(settings.otlp_endpoint, env)
    if not endpoint:
        return _nothing
    try:
        from seaway_kit.otel import Export
    except ImportError as error:
        log.warning("no traces are sent to %s: %s; install seaway[otel]", endpoint, error)
        return _nothing
    export = Export(endpoint, service, settings.node)
    tracing.use(export)
    log.info("sending traces to %s", endpoint)
    return export.close


def _nothing() -> None:
    return
