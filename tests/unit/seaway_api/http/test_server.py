"""What may be listened on, and what is served there."""

import asyncio
from pathlib import Path
from typing import Any

import pytest

from seaway_api.service import serve
from seaway_api.settings import ApiSettings
from seaway_kit.listeners import listen_on
from seaway_kit.settings import WrongSettings, validated
from seaway_testing.waiting import GUARD_S


def settings(path: Path, **changes: Any) -> ApiSettings:
    return validated(ApiSettings, {"run": path, "root": path, "socket_group": "no-such-group-here"} | changes)


@pytest.mark.parametrize("host", ["tcp://0.0.0.0:2375", "tcp://[::]:2375", "tcp://192.0.2.1:2375", "tcp://example:1"])
def test_beyond_loopback_only_with_client_certificates(tmp_path: Path, host: str) -> None:
    with pytest.raises(WrongSettings, match="reachable from other machines"):
        settings(tmp_path, host=(host,))
    with pytest.raises(WrongSettings, match="reachable from other machines"):
        settings(tmp_path, host=(host,), tls_cert="/c", tls_key="/k")
    assert settings(tmp_path, host=(host,), tls_cert="/c", tls_key="/k", tls_ca="/a").host == (host,)


@pytest.mark.parametrize("host", ["tcp://127.0.0.1:0", "tcp://[::1]:2375", "tcp://localhost:2375", "unix:///x"])
def test_loopback_and_unix_need_no_certificate(tmp_path: Path, host: str) -> None:
    assert settings(tmp_path, host=(host,)).hosts == (host,)


@pytest.mark.parametrize(
    "changes",
    [{"host": ("unix://x",)}, {"host": ("http://x",)}, {"host": ("tcp://x",)}, {"tls_cert": "/c"}, {"tls_ca": "/c"}],
)
def test_half_settings_are_refused(tmp_path: Path, changes: Any) -> None:
    with pytest.raises(WrongSettings):
        settings(tmp_path, **changes)


async def ask(port: int, *fields: str, address: str = "127.0.0.1") -> int:
    reader, writer = await asyncio.open_connection(address, port)
    writer.write(("GET /_ping HTTP/1.1\r\n" + "".join(f"{one}\r\n" for one in fields) + "\r\n").encode())
    status = int((await reader.readline()).split(b" ")[1])
    writer.close()
    return status


async def test_over_tcp_a_page_cannot_talk_to_the_engine(rig: Any, tmp_path: Path) -> None:
    tcp = settings(tmp_path, host=("tcp://127.0.0.1:0",))
    api = type(rig.api)(tcp, rig.api.bus, rig.api.hub, rig.api.tasks, rig.api.archives, rig.api.stats)
    async with serve(api) as hosts:
        port = int(hosts[0].rpartition(":")[2])
        assert await ask(port, f"Host: 127.0.0.1:{port}") == 200
        assert await ask(port, "Host: localhost") == 200
        assert await ask(port, "Host: evil.example") == 403
        assert await ask(port, "Host: localhost.evil.example") == 403
        assert await ask(port, "Host: localhost", "Origin: http://evil.example") == 403
        assert await ask(port, "Host: localhost", "Origin: null") == 403


async def test_over_ipv6(rig: Any, tmp_path: Path) -> None:
    tcp = settings(tmp_path, host=("tcp://[::1]:0",))
    api = type(rig.api)(tcp, rig.api.bus, rig.api.hub, rig.api.tasks, rig.api.archives, rig.api.stats)
    async with serve(api) as hosts:
        host, _, port = hosts[0].rpartition(":")
        assert host == "tcp://[::1]"
        assert await ask(int(port), f"Host: [::1]:{port}", address="::1") == 200
        assert await ask(int(port), "Host: evil.example", address="::1") == 403
        with pytest.raises(OSError, match=rf"can't listen on tcp://\[::1\]:{port}: "):
            listen_on(hosts[0])


async def test_the_socket_goes_with_the_server(rig: Any, tmp_path: Path) -> None:
    other = settings(tmp_path, host=(f"unix://{tmp_path}/other.sock",))
    api = type(rig.api)(other, rig.api.bus, rig.api.hub, rig.api.tasks, rig.api.archives, rig.api.stats)
    async with serve(api):
        assert (tmp_path / "other.sock").exists()
    assert not (tmp_path / "other.sock").exists()


async def test_watchers_do_not_hold_up_the_end(rig: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("seaway_api.http.server._LAST_ANSWERS_S", 3600.0)
    other = settings(tmp_path, host=(f"unix://{tmp_path}/other.sock",))
    api = type(rig.api)(other, rig.api.bus, rig.api.hub, rig.api.tasks, rig.api.archives, rig.api.stats)
    async with asyncio.timeout(GUARD_S), serve(api):
        reader, writer = await asyncio.open_unix_connection(f"{tmp_path}/other.sock")
        writer.write(b"GET /events HTTP/1.1\r\nHost: d\r\n\r\n")
        await reader.readuntil(b"\r\n\r\n")
    assert await reader.read() == b""
    assert rig.api.hub.reader_count == 0
    writer.close()
