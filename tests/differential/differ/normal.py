"""What is different by nature is made equal: ids, times, pids, addresses, paths. Pure.

Known values (what a scenario kept) become their names; the rest goes by the name of the field and by shape.
"""

import re
from typing import Any, Final

_ZERO_TIME: Final = "0001-01-01T00:00:00Z"
_TIME: Final = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)")
_LONG_ID: Final = re.compile(r"(?<![0-9a-f:])[0-9a-f]{64}(?![0-9a-f])")
_GENERATED_NAME: Final = re.compile(r"^/?[a-z]+_[a-z]+\d?$")
_VOLUMES: Final = re.compile(r"<engine>/root/(docker|agent/n1)/volumes")
_QUOTED_NAME: Final = re.compile(r'"/[a-z]+_[a-z]+\d?"')
_RUNTIME_WORDS: Final = re.compile(r"runc create failed: |unable to start container process: ")
SHORT_ID: Final = re.compile(r"(?<![0-9a-f])[0-9a-f]{12}(?![0-9a-f])")
AGO: Final = re.compile(r"(Less than a second|About a minute|\d+ (second|minute)s?)( ago)?")
_DYNAMIC_PORT: Final = 32768
_MASKED: Final = frozenset(
    [
        "Pid",
        "LogPath",
        "ResolvConfPath",
        "HostnamePath",
        "HostsPath",
        "SandboxID",
        "SandboxKey",
        "EndpointID",
        "NetworkID",
        "Gateway",
        "MacAddress",
        "IPAddress",
        "LowerDir",
        "MergedDir",
        "UpperDir",
        "WorkDir",
        "timeNano",
        "time",
        "execDuration",
        "Created",
        "Mountpoint",
    ]
)

_UNORDERED: Final = frozenset(("Mounts", "Ports", "Volumes", "VolumesDeleted"))  # Docker walks through a map


class Normal:
    """Makes the answers of one engine comparable; `directory` is where it keeps its files."""

    def __init__(self, directory: str) -> None:
        self._directory = directory
        self._names: dict[str, str] = {}
        self._whole: dict[str, str] = {}

    def learn(self, kept: dict[str, str]) -> None:
        """Names of values; longer values go first, so that a short id doesn't spoil a long one."""
        named = {value[:12]: f"<{name}:12>" for name, value in reversed(kept.items()) if len(value) == 64}
        named |= {value: f"<{name}>" for name, value in kept.items() if len(value) >= 12}
        self._names = dict(sorted(named.items(), key=lambda pair: -len(pair[0])))
        self._whole = {value: f"<{name}>" for name, value in kept.items()}

    def value(self, value: Any, key: str = "") -> Any:
        """A JSON value without what can't be equal."""
        if isinstance(value, dict):
            return {self.text(name): self.value(inner, name) for name, inner in value.items()}
        if isinstance(value, list):
            made = [self.value(inner, key) for inner in value]
            return sorted(made, key=repr) if key in _UNORDERED else made
        if key in _MASKED and value not in ("", 0, None, _ZERO_TIME):
            return f"<{key}>"
        if key == "HostPort" and isinstance(value, str) and value.isdecimal() and int(value) >= _DYNAMIC_PORT:
            return "<port>"
        if isinstance(value, str):
            if key == "Status":
                return AGO.sub("<ago>", value)
            if key.lower() in ("name", "names", "dnsnames") and _GENERATED_NAME.match(value):
                return "<generated>"
            return self._whole.get(value) or self.text(value)
        return value

    def text(self, text: str) -> str:
        """A text without known values, ids, times and places."""
        for value, name in self._names.items():
            text = text.replace(value, name)
        text = _LONG_ID.sub("<id>", text.replace(self._directory, "<engine>"))
        text = _VOLUMES.sub("<volumes>", text)
        text = _RUNTIME_WORDS.sub("", _QUOTED_NAME.sub('"<generated>"', text))  # runc's frame around its errors
        return _TIME.sub(lambda found: found[0] if found[0] == _ZERO_TIME else "<time>", text)
