"""The seccomp filters of this node's containers."""

import base64
import logging
import platform
from collections.abc import Collection
from pathlib import Path
from typing import Any

import orjson

from seaway_agent.kernel import seccomp_bpf
from seaway_agent.oci import capabilities, seccomp
from seaway_contracts.containers import ContainerSpec
from seaway_contracts.errors import bad_request

log = logging.getLogger(__name__)


class Seccomp:
    """Builds the default filter, once for each set of capabilities.

    `takers`: the runtimes that accept a compiled filter.
    """

    def __init__(self, profile: Path, takers: Collection[str] = ()) -> None:
        self._base = seccomp.base_names(orjson.loads(profile.read_bytes()))
        self._takers = frozenset(takers)
        self._made: dict[tuple[str, ...], dict[str, Any]] = {}
        self._compiled: dict[tuple[str, ...], str] = {}

    def section(self, spec: ContainerSpec) -> dict[str, Any] | None:
        """A container's filter as OCI section; None: unconfined. Raises SeawayError for a bad user profile."""
        security = spec.security
        if security.seccomp == "unconfined" or (security.privileged and not security.seccomp):
            return None
        caps = capabilities.effective(security.cap_add, security.cap_drop, security.privileged)
        if security.seccomp:
            try:
                return seccomp.from_docker_profile(orjson.loads(security.seccomp), caps, platform.machine())
            except (ValueError, KeyError, TypeError) as error:
                raise bad_request(f"decoding seccomp profile failed: {error}") from error
        if caps not in self._made:
            self._made[caps] = seccomp.compile_filter(self._base, caps, platform.machine())
        return self._made[caps]

    def default_section(self) -> dict[str, Any]:
        """The filter of a container with the default capabilities, as OCI section."""
        caps = capabilities.effective((), (), privileged=False)
        if caps not in self._made:
            self._made[caps] = seccomp.compile_filter(self._base, caps, platform.machine())
        return self._made[caps]

    def default_compiled(self, runtime: str) -> str:
        """The same compiled, as `compiled` gives it."""
        if runtime not in self._takers:
            return ""
        caps = capabilities.effective((), (), privileged=False)
        if caps not in self._compiled:
            self._compiled[caps] = _compiled(self.default_section())
        return self._compiled[caps]

    def is_compiled(self, spec: ContainerSpec) -> bool:
        """Whether `compiled` has the filter at hand; to make one takes some 20 ms."""
        security = spec.security
        return capabilities.effective(security.cap_add, security.cap_drop, security.privileged) in self._compiled

    def compiled(self, spec: ContainerSpec, runtime: str) -> str:
        """The default filter compiled, for `seccomp_bpf.ANNOTATION`; empty: the container needs the section."""
        security = spec.security
        if runtime not in self._takers or security.seccomp or security.privileged:
            return ""
        caps = capabilities.effective(security.cap_add, security.cap_drop, security.privileged)
        if caps not in self._compiled:
            self._compiled[caps] = _compiled(self.section(spec))
        return self._compiled[caps]


def _compiled(section: dict[str, Any] | None) -> str:
    try:
        found = seccomp_bpf.compile_tree(section) if section is not None else None
    except (OSError, ValueError) as error:
        log.warning("the runtime compiles the seccomp filter, as the agent can't: %s", error)
        found = None
    return base64.b64encode(found or b"").decode()
