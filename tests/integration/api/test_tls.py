"""TLS below a connection: handshakes, halves that end by themselves, clients that are slow or break off."""

import asyncio
import contextlib
import socket
import ssl
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import ClassVar

import pytest

from seaway_testing.descriptors import open_descriptors

sys.path.insert(0, str(Path(__file__).parents[2] / "e2e"))

from e2e_rig.certificates import Authority

from seaway_api.http import tls
from seaway_api.http.tls import TlsTransport
from seaway_testing.waiting import until

pytestmark = pytest.mark.both_loops
_PATIENT_S = 10.0


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    made = Authority(tmp_path_factory.mktemp("tls") / "ca")
    made.sign("server", "127.0.0.1")
    made.sign("alice")
    return made


class Client:
    """A TLS client whose halves are apart, as Go's are."""

    def __init__(self, port: int, context: ssl.SSLContext) -> None:
        self.socket = socket.create_connection(("127.0.0.1", port), _PATIENT_S)
        self._in, self._out = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._tls = context.wrap_bio(self._in, self._out, server_hostname="127.0.0.1")

    def shake_hands(self) -> None:
        while True:
            try:
                self._tls.do_handshake()
                self.flush()
                return
            except ssl.SSLWantReadError:
                self.flush()
                self._take()

    def send(self, data: bytes) -> None:
        self._tls.write(data)
        self.flush()

    def half_close(self) -> None:
        with contextlib.suppress(ssl.SSLWantReadError):
            self._tls.unwrap()
        self.flush()

    def read(self) -> bytes:
        """b"" at the server's close_notify. Raises EOFError where the connection ends without."""
        while True:
            try:
                return self._tls.read(65536)
            except ssl.SSLZeroReturnError:
                return b""
            except ssl.SSLWantReadError:
                self._take()

    def rest(self) -> bytes:
        return b"".join(iter(self.read, b""))

    def flush(self) -> None:
        if data := self._out.read():
            self.socket.sendall(data)

    def _take(self) -> None:
        data = self.socket.recv(65536)
        if not data:
            raise EOFError
        self._in.write(data)

    def close(self) -> None:
        self.socket.close()


class Above(asyncio.Protocol):
    """What the server speaks over TLS: it keeps all, and stays where the client has ended its side."""

    made: ClassVar["list[Above]"] = []

    def __init__(self) -> None:
        self.taken = bytearray()
        self.ended = self.lost = False
        self.writable = asyncio.Event()
        self.writable.set()
        Above.made.append(self)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, TlsTransport)
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        self.taken += data

    def eof_received(self) -> bool:
        self.ended = True
        return True

    def pause_writing(self) -> None:
        self.writable.clear()

    def resume_writing(self) -> None:
        self.writable.set()

    def connection_lost(self, exc: BaseException | None) -> None:
        self.lost = True


class Rig:
    """A server that asks for certificates."""

    def __init__(self, port: int, authority: Authority) -> None:
        self.port = port
        self._authority = authority
        self.clients: list[Client] = []

    def client(self, certificate: Path | None, most: ssl.TLSVersion = ssl.TLSVersion.TLSv1_3) -> Client:
        """Connected, without a handshake."""
        context = ssl.create_default_context(cafile=self._authority.ca)
        context.maximum_version = most
        if certificate is not None:
            context.load_cert_chain(certificate / "cert.pem", certificate / "key.pem")
        self.clients.append(Client(self.port, context))
        return self.clients[-1]

    async def met(self, most: ssl.TLSVersion = ssl.TLSVersion.TLSv1_3) -> tuple[Client, Above]:
        """A client that was let in, and the server's end."""
        client = self.client(self._authority.ca.parent / "alice", most)
        await asyncio.to_thread(client.shake_hands)
        await until(lambda: bool(Above.made))
        return client, Above.made[-1]


@pytest.fixture
async def rig(authority: Authority) -> AsyncIterator[Rig]:
    Above.made.clear()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(authority.ca.parent / "server/cert.pem", authority.ca.parent / "server/key.pem")
    context.load_verify_locations(authority.ca)
    context.verify_mode = ssl.CERT_REQUIRED
    server = await asyncio.get_running_loop().create_server(lambda: TlsTransport(context, Above), "127.0.0.1", 0)
    made = Rig(server.sockets[0].getsockname()[1], authority)
    yield made
    for client in made.clients:
        client.close()
    server.close()
    await server.wait_closed()


VERSIONS = pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3], ids=["1.2", "1.3"])


@VERSIONS
async def test_behind_the_clients_end_the_server_goes_on(rig: Rig, version: ssl.TLSVersion) -> None:
    client, above = await rig.met(version)
    client.send(b"hi")
    client.half_close()
    await until(lambda: above.ended)
    assert bytes(above.taken) == b"hi" and not above.lost
    above.transport.write(b"later" * 100_000)
    assert len(await asyncio.to_thread(client.read))
    above.transport.close()
    await asyncio.to_thread(client.rest)
    await until(lambda: above.lost)


async def test_who_is_there(rig: Rig) -> None:
    _, above = await rig.met()
    subject = above.transport.get_extra_info("peercert")["subject"]
    assert subject == ((("commonName", "alice"),),)
    assert above.transport.get_extra_info("sockname") == ("127.0.0.1", rig.port)


@VERSIONS
async def test_without_a_certificate_nobody_gets_in_and_is_told_so(rig: Rig, version: ssl.TLSVersion) -> None:
    client = rig.client(None, version)

    def talk() -> bytes:
        client.shake_hands()
        client.send(b"GET /_ping HTTP/1.1\r\n\r\n")
        return client.read()

    with pytest.raises(ssl.SSLError, match=r"(?i)certificate.required|handshake.failure"):
        await asyncio.to_thread(talk)
    assert Above.made == []


async def test_a_certificate_of_another_authority_is_refused(rig: Rig, tmp_path: Path) -> None:
    stranger = Authority(tmp_path / "other").sign("mallory")
    client = rig.client(stranger)

    def talk() -> bytes:
        client.shake_hands()
        return client.read()

    with pytest.raises(ssl.SSLError, match=r"(?i)unknown.ca"):
        await asyncio.to_thread(talk)
    assert Above.made == []


@pytest.mark.parametrize("nonsense", [b"GET / HTTP/1.1\r\n\r\n", b"\x16\x03\x01\xff\xff" + bytes(70_000), b"\0"])
async def test_what_is_no_tls_is_sent_away(rig: Rig, nonsense: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tls, "HANDSHAKE_S", 0.3)
    with socket.create_connection(("127.0.0.1", rig.port), _PATIENT_S) as client:
        with contextlib.suppress(OSError):
            client.sendall(nonsense)

        def drained() -> None:
            with contextlib.suppress(ConnectionError):
                while client.recv(4096):
                    pass

        await asyncio.to_thread(drained)
    assert Above.made == []


async def test_who_never_shakes_hands_is_dropped(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tls, "HANDSHAKE_S", 0.2)
    before = open_descriptors()
    idle = [rig.client(None) for _ in range(20)]
    await until(lambda: open_descriptors() >= before + 40)
    await until(lambda: open_descriptors() == before + 20)
    assert all(client.socket.recv(1) == b"" for client in idle)


async def test_who_takes_nothing_of_the_last_answer_is_dropped(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tls, "STALLED_S", 0.2)
    _, above = await rig.met()
    above.transport.write(bytes(32 << 20))
    assert not above.writable.is_set()
    above.transport.close()
    await until(lambda: above.lost)


async def test_a_slow_reader_gets_all_of_the_last_answer(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tls, "STALLED_S", 0.2)
    client, above = await rig.met()
    above.transport.write(bytes(32 << 20))
    above.transport.close()
    taken = 0
    while piece := await asyncio.to_thread(client.read):
        taken += len(piece)
    assert taken == 32 << 20


async def test_back_pressure_towards_the_client(rig: Rig) -> None:
    client, above = await rig.met()
    above.transport.pause_reading()
    sending = asyncio.create_task(asyncio.to_thread(client.send, bytes(32 << 20)))
    done, _ = await asyncio.wait([sending], timeout=0.3)
    assert not done and len(above.taken) <= 1 << 20
    above.transport.resume_reading()
    await sending
    await asyncio.to_thread(client.half_close)
    await until(lambda: above.ended)
    assert len(above.taken) == 32 << 20


async def test_a_connection_that_breaks_off_is_no_end(rig: Rig) -> None:
    client, above = await rig.met()
    client.send(b"half a wo")
    await until(lambda: bool(above.taken))
    client.socket.shutdown(socket.SHUT_WR)
    await until(lambda: above.lost)
    assert not above.ended


async def test_a_broken_record_ends_it(rig: Rig) -> None:
    client, above = await rig.met()
    client.socket.sendall(b"\x17\x03\x03\x00\x20" + bytes(32))
    await until(lambda: above.lost)
    assert not above.ended and not above.taken
