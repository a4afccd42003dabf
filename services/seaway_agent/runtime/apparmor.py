"""AppArmor on this machine: detect it, and load the default profile where it is missing.

The profile belongs to the machine: dockerd and other suites share it under the same name. So the agent never replaces
or removes a loaded profile.
"""

import asyncio
import logging
import shutil
import subprocess
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from seaway_agent.oci import apparmor
from seaway_contracts.containers import Security
from seaway_contracts.errors import SeawayError, internal

log = logging.getLogger(__name__)
_PARSER: Final = "apparmor_parser"
_SYSTEM_PATH: Final = "/usr/sbin:/sbin"
_PARSER_S: Final = 30.0


@dataclass(frozen=True)
class AppArmorPaths:
    """Where the kernel and the distribution keep AppArmor's files."""

    enabled: Path = Path("/sys/module/apparmor/parameters/enabled")
    profiles: Path = Path("/sys/kernel/security/apparmor/profiles")
    own: Path = Path("/proc/self/attr/current")
    included: Path = Path("/etc/apparmor.d")


@dataclass
class AppArmor:
    """AppArmor's state. `on`: the kernel has it. `parser`: the program that loads profiles (empty: none)."""

    on: bool = False
    parser: str = ""
    paths: AppArmorPaths = field(default_factory=AppArmorPaths)
    _loading: asyncio.Lock = field(default_factory=asyncio.Lock)

    @property
    def usable(self) -> bool:
        """Whether containers get the default profile."""
        return self.on and bool(self.parser)

    def profile_for(self, security: Security) -> str:
        """The profile that a container here runs under; empty: the runtime sets none."""
        return apparmor.profile_for(security, on=self.on, default=self.usable)

    async def prepare(self) -> None:
        """Load the default profile before the first container needs it; log a failure."""
        try:
            await self.ensure_loaded(apparmor.DEFAULT if self.usable else "")
        except SeawayError as error:
            log.error("%s; no container can start that needs it", error.message)

    async def ensure_loaded(self, profile: str) -> None:
        """Load `profile` again if it is the default one and missing: a reload of AppArmor may remove it.

        Raises SeawayError.
        """
        if profile != apparmor.DEFAULT or self._has_default():
            return
        async with self._loading:
            if not self._has_default():
                await asyncio.to_thread(self._load)
                log.info("loaded the AppArmor profile %s", profile)

    def _has_default(self) -> bool:
        try:
            return apparmor.DEFAULT in apparmor.loaded(self.paths.profiles.read_text())
        except OSError as error:
            raise internal(f"AppArmor's list of profiles can't be read: {error}") from error

    def _load(self) -> None:
        try:
            done = subprocess.run(
                [self.parser, "--replace", "--skip-read-cache"],
                input=self._text(), capture_output=True, text=True, timeout=_PARSER_S, check=False,
            )  # fmt: skip
        except (OSError, subprocess.TimeoutExpired) as error:
            raise _not_loaded(str(error)) from error
        if done.returncode != 0:
            raise _not_loaded(done.stderr.strip() or f"{_PARSER} ended with code {done.returncode}")

    def _text(self) -> str:
        included = self.paths.included
        return apparmor.profile_text(
            apparmor.label(_read(self.paths.own)),
            abi=(included / "abi/3.0").exists(),
            tunables=(included / "tunables/global").exists(),
            base=(included / "abstractions/base").exists(),
        )


def find(paths: AppArmorPaths | None = None, path: str | None = None) -> AppArmor:
    """This machine's AppArmor; logs one warning where a part is missing. `path`: where to look for the parser."""
    paths = paths or AppArmorPaths()
    if _read(paths.enabled).strip() != "Y":
        return AppArmor(paths=paths)
    parser = shutil.which(_PARSER, path=path) or shutil.which(_PARSER, path=path or _SYSTEM_PATH) or ""
    if not parser:
        _warn(f"{_PARSER} is missing: install the package apparmor")
    elif not _is_readable(paths.profiles):
        parser = ""
        _warn(f"{paths.profiles} can't be read: mount securityfs on /sys/kernel/security")
    return AppArmor(True, parser, paths)


def is_loaded(paths: AppArmorPaths | None = None) -> bool:
    """Whether the default profile is loaded, by Seaway or by another program."""
    return apparmor.DEFAULT in apparmor.loaded(_read((paths or AppArmorPaths()).profiles))


def _is_readable(path: Path) -> bool:
    try:
        path.read_bytes()
    except OSError:
        return False
    return True


def _read(path: Path) -> str:
    try:
        return path.read_text()
    except (OSError, ValueError):
        return ""


def _warn(why: str) -> None:
    log.warning(
        "the kernel has AppArmor, but containers run without the profile %s: %s, and restart the agent",
        apparmor.DEFAULT,
        why,
    )


def _not_loaded(why: str) -> SeawayError:
    return internal(f"AppArmor is on, but its profile {apparmor.DEFAULT} can't be loaded: {why}")
