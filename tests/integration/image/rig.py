"""Registries as they are met outside: Debian's docker-registry behind TLS, tokens, passwords."""

import base64
import hashlib
import json
import os
import secrets
import shutil
import socket
import ssl
import subprocess
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from aiohttp import BasicAuth, web

from seaway_testing.packing import tar_of

SERVICE, ISSUER = "registry.test", "tokens.test"


def wait_for(port: int) -> None:
    limit = time.monotonic() + 20
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
            return
        except OSError:
            assert time.monotonic() < limit, "docker-registry did not start"
            time.sleep(0.01)


@contextmanager
def docker_registry(
    directory: Path, port: int, storage: Path, *, deletable: bool = False, **parts: Any
) -> Iterator[int]:
    """A docker-registry on the loopback; `parts` are `auth` and `tls` of its configuration."""
    http = {"addr": f"127.0.0.1:{port}", "secret": "s"} | ({"tls": parts["tls"]} if "tls" in parts else {})
    config = {
        "version": "0.1",
        "log": {"level": "error"},
        "storage": {"filesystem": {"rootdirectory": str(storage)}, "delete": {"enabled": deletable}},
        "http": http,
    } | ({"auth": parts["auth"]} if "auth" in parts else {})
    path = directory / f"registry-{port}.yml"
    path.write_text(json.dumps(config))
    process = subprocess.Popen(["docker-registry", "serve", str(path)], stderr=subprocess.DEVNULL)
    try:
        wait_for(port)
        yield port
    finally:
        process.terminate()
        process.wait()


def write_archive(path: Path) -> Path:
    """A docker archive of an image with two layers."""
    layers = {"0.tar": tar_of({"a": os.urandom(2_000_000)}), "1.tar": tar_of({"b": b"hello" * 100_000})}
    config = {
        "architecture": "amd64",
        "os": "linux",
        "config": {"Cmd": ["/a"], "Env": ["PATH=/"]},
        "rootfs": {"type": "layers", "diff_ids": [f"sha256:{hashlib.sha256(x).hexdigest()}" for x in layers.values()]},
    }
    manifest = [{"Config": "c.json", "RepoTags": ["thing:1"], "Layers": list(layers)}]
    files = layers | {"c.json": json.dumps(config).encode(), "manifest.json": json.dumps(manifest).encode()}
    path.write_bytes(tar_of(files))
    return path


def skopeo(*words: str) -> str:
    done = subprocess.run(["skopeo", "--insecure-policy", *words], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    return done.stdout


def push(source: str, target: str, *options: str) -> None:
    skopeo("copy", "--dest-tls-verify=false", *options, source, f"docker://{target}")


def openssl(*words: str | Path, data: bytes = b"") -> bytes:
    done = subprocess.run(["openssl", *map(str, words)], input=data, capture_output=True, timeout=60)
    assert done.returncode == 0, done.stderr.decode()
    return done.stdout


@dataclass(frozen=True)
class Certificates:
    """A CA of one's own, the registries' certificate by it, and the key that signs tokens."""

    directory: Path

    @property
    def ca(self) -> Path:
        return self.directory / "ca.crt"

    @property
    def tls(self) -> dict[str, str]:
        return {"certificate": str(self.directory / "server.crt"), "key": str(self.directory / "server.key")}

    def give_client(self, directory: Path, name: str = "client") -> None:
        """Put the certificate by which ann shows who she is, and its key, into a directory of `certs.d`."""
        for suffix in ("cert", "key"):
            shutil.copy(self.directory / f"client.{suffix}", directory / f"{name}.{suffix}")

    @property
    def context(self) -> ssl.SSLContext:
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.load_cert_chain(self.directory / "server.crt", self.directory / "server.key")
        return context

    @classmethod
    def make(cls, directory: Path, *names: str) -> "Certificates":
        made = cls(directory)
        ec = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes")
        request = ("req", "-x509", "-days", "2", *ec)
        openssl(*request, "-subj", "/CN=test CA", "-keyout", directory / "ca.key", "-out", made.ca)
        alt = ",".join(f"DNS:{name}" for name in names) + ",IP:127.0.0.1"
        signed = ("-CA", made.ca, "-CAkey", directory / "ca.key", "-addext", f"subjectAltName={alt}")
        leaf = ("-addext", "basicConstraints=critical,CA:FALSE")
        files = ("-keyout", directory / "server.key", "-out", directory / "server.crt")
        openssl(*request, "-subj", f"/CN={names[0]}", *signed, *leaf, *files)
        person = ("-keyout", directory / "client.key", "-out", directory / "client.cert")
        openssl(*request, "-subj", "/CN=ann", *signed[:4], *leaf, *person)
        rsa = ("req", "-x509", "-days", "2", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=tokens")
        openssl(*rsa, "-keyout", directory / "token.key", "-out", directory / "token.crt")
        return made

    def token(self, claims: Mapping[str, Any]) -> str:
        """A JSON web token (RFC 7519), RS256."""
        lines = (self.directory / "token.crt").read_text().splitlines()
        header = {"typ": "JWT", "alg": "RS256", "x5c": ["".join(lines[1:-1])]}
        signed = ".".join(_base64url(json.dumps(part).encode()) for part in (header, claims))
        signature = openssl("dgst", "-sha256", "-sign", self.directory / "token.key", data=signed.encode())
        return f"{signed}.{_base64url(signature)}"


def _base64url(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).decode().rstrip("=")


@dataclass
class TokenServer:
    """An authorization server (distribution spec, token authentication): `public/…` for all, the rest for users."""

    certificates: Certificates
    port: int
    users: dict[str, str] = field(default_factory=lambda: {"ann": "pässword"})
    refresh: str = "identity-of-ann"
    rotates: str = ""
    """The refresh token that comes with the next token that is asked for by one; empty: none."""
    asked: list[web.Request] = field(default_factory=list)
    granted: list[list[str]] = field(default_factory=list)

    def auth(self, host: str) -> dict[str, Any]:
        """The registry's side."""
        bundle = str(self.certificates.directory / "token.crt")
        realm = f"https://{host}:{self.port}/token"
        return {"token": {"realm": realm, "service": SERVICE, "issuer": ISSUER, "rootcertbundle": bundle}}

    @property
    def application(self) -> web.Application:
        app = web.Application()
        app.add_routes([web.get("/token", self._get), web.post("/token", self._post)])
        return app

    async def _get(self, request: web.Request) -> web.Response:
        self.asked.append(request)
        user, given = "", request.headers.get("Authorization")
        if given:
            login = BasicAuth.decode(given, "utf-8")
            if self.users.get(login.login) != login.password:
                error = {"code": "UNAUTHORIZED", "message": "incorrect username or password"}
                return web.json_response({"errors": [error]}, status=401)
            user = login.login
        refresh = self.refresh if user and request.query.get("offline_token") == "true" else ""
        return self._grant(user, request.query.getall("scope", []), refresh)

    async def _post(self, request: web.Request) -> web.Response:
        self.asked.append(request)
        form = await request.post()
        if (form["grant_type"], form["refresh_token"]) != ("refresh_token", self.refresh):
            return web.json_response({"error": "invalid_grant"}, status=401)
        return self._grant("ann", str(form["scope"]).split(), self.rotates, name="access_token")

    def _grant(self, user: str, scopes: list[str], refresh: str = "", name: str = "token") -> web.Response:
        self.granted.append(scopes)
        access = []
        for scope in scopes:
            kind, repository, actions = scope.split(":")
            if user or repository.startswith("public/"):
                access.append({"type": kind, "name": repository, "actions": actions.split(",")})
        body = {name: self.token(user, access), "expires_in": 300}
        return web.json_response(body | ({"refresh_token": refresh} if refresh else {}))

    def token(self, user: str, access: list[dict[str, Any]]) -> str:
        """A token that the registry takes."""
        now = int(time.time())
        claims = {"iss": ISSUER, "sub": user, "aud": SERVICE, "iat": now, "nbf": now - 5, "exp": now + 300}
        return self.certificates.token(claims | {"jti": secrets.token_hex(8), "access": access})


def bcrypt(password: str) -> str:
    """A line's hash for htpasswd files, by libcrypt."""
    script = "print crypt($ARGV[0], '$2b$04$' . 'abcdefghijklmnopqrstuu')"
    return subprocess.run(["perl", "-e", script, password], capture_output=True, text=True, check=True).stdout
