"""What a container may not do: its AppArmor profile and its seccomp filter."""

import asyncio

from seaway_agent.container.hook import Hook, RunRequest
from seaway_agent.kernel import seccomp_bpf
from seaway_agent.runtime.apparmor import AppArmor
from seaway_agent.runtime.contribution import Contribution
from seaway_agent.runtime.runtimes import Runtimes
from seaway_agent.runtime.seccomp import Seccomp


class ConfinementHook(Hook):
    """Has the default profile loaded, where whoever reloads AppArmor's has removed it."""

    def __init__(self, apparmor: AppArmor, seccomp: Seccomp, runtimes: Runtimes) -> None:
        self._apparmor = apparmor
        self._seccomp = seccomp
        self._runtimes = runtimes

    async def prepare(self, request: RunRequest, before: Contribution) -> Contribution:
        """See the base."""
        spec = request.spec
        profile = self._apparmor.profile_for(spec.security)
        section = self._seccomp.section(spec)
        await self._apparmor.ensure_loaded(profile)
        runtime = self._runtimes.find(spec.runtime)[0]
        if self._seccomp.is_compiled(spec):
            compiled = self._seccomp.compiled(spec, runtime)
        else:
            compiled = await asyncio.to_thread(self._seccomp.compiled, spec, runtime)
        annotations = {seccomp_bpf.ANNOTATION: compiled} if compiled else {}
        return Contribution(apparmor=profile, seccomp=section, annotations=annotations)
