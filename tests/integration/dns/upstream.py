"""A nameserver to forward to: what it answers is said by a question's first label."""

import contextlib
import selectors
import socket
import struct
import threading

import dns.exception
import dns.flags
import dns.message
import dns.name
import dns.rcode
import dns.rrset
from tests.namespaces import PATIENCE, call_in

MANY = 100


class Upstream:
    """Answers over UDP and TCP in a namespace, in a thread of its own.

    `one.…` has an address, `many.…` a hundred, `none.…` is no name, `failed.…` fails, `refused.…` is refused,
    `silent.…` gets no response, `forged.…` gets some that belong to another query first, `garbage.…` something else
    than DNS, `huge.…` more bytes than the asker takes.

    With `steady` all names have an address. `asked` keeps the queries.
    """

    def __init__(self, fd: int, host: str = "127.0.0.53", address: str = "192.0.2.1", *, steady: bool = False) -> None:
        self.address = address
        self._steady = steady
        self.asked: list[tuple[str, dns.message.Message]] = []
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        self._udp = call_in(fd, lambda: socket.socket(family, socket.SOCK_DGRAM))
        self._tcp = call_in(fd, lambda: socket.socket(family, socket.SOCK_STREAM))
        self._tcp.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        for server in (self._udp, self._tcp):
            server.bind((host, 53))
        self._tcp.listen()
        self._waker, self._woken = socket.socketpair()
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def _serve(self) -> None:
        with selectors.DefaultSelector() as selector:
            for one in (self._udp, self._tcp, self._woken):
                selector.register(one, selectors.EVENT_READ)
            while True:
                for key, _ in selector.select():
                    if key.fileobj is self._woken:
                        return
                    with contextlib.suppress(OSError, dns.exception.DNSException):
                        self._datagram() if key.fileobj is self._udp else self._connection()

    def _datagram(self) -> None:
        data, asker = self._udp.recvfrom(65535)
        for response in self._responses(data, "udp"):
            self._udp.sendto(response, asker)

    def _connection(self) -> None:
        connection, _ = self._tcp.accept()
        connection.settimeout(PATIENCE)
        with connection, connection.makefile("rb") as stream:
            data = stream.read(struct.unpack("!H", stream.read(2))[0])
            for response in self._responses(data, "tcp"):
                connection.sendall(struct.pack("!H", len(response)) + response)

    def _responses(self, data: bytes, protocol: str) -> list[bytes]:
        query = dns.message.from_wire(data)
        self.asked.append((protocol, query))
        name = query.question[0].name
        word = "one" if self._steady else name.labels[0].decode()
        response = dns.message.make_response(query, recursion_available=True, our_payload=4000)
        if word in ("one", "forged", "huge"):
            response.answer.append(dns.rrset.from_text(name, 60, "IN", "A", self.address))
        elif word == "many":
            texts = [f"198.51.100.{number}" for number in range(MANY)]
            response.answer.append(dns.rrset.from_text_list(name, 60, "IN", "A", texts))
        elif word == "silent":
            return []
        elif word == "garbage":
            return [data[:2] + b"\xff" * 40]
        else:
            codes = {"none": dns.rcode.NXDOMAIN, "failed": dns.rcode.SERVFAIL, "refused": dns.rcode.REFUSED}
            response.set_rcode(codes.get(word, dns.rcode.NOERROR))
        if word == "huge":
            response.additional.append(dns.rrset.from_text(name, 60, "IN", "TXT", *(f'"{n:0200}"' for n in range(15))))
        if protocol == "udp" and word != "huge":
            with contextlib.suppress(dns.exception.TooBig):
                return [*self._forged(response, word), response.to_wire(max_size=max(512, query.payload))]
            response.answer.clear()
            response.flags |= dns.flags.TC
        return [response.to_wire(max_size=65535)]

    def _forged(self, response: dns.message.Message, word: str) -> list[bytes]:
        if word != "forged":
            return []
        right = response.to_wire()
        wrong_id = bytes((right[0] ^ 1,)) + right[1:]
        return [wrong_id, right.replace(b"forged", b"forgod"), right[:5], b"", response.to_wire()[:2] + b"\0" * 10]

    def close(self) -> None:
        self._waker.close()
        self._thread.join(PATIENCE)
        for one in (self._udp, self._tcp, self._woken):
            one.close()
