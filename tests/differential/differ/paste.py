"""Both engines' answers to one question, as a text to paste into a report: `./dev differ -- docker ps -a`.

A question is a docker command line, or an API call: a method and a path, and a body in JSON where it has one.
"""

import json
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from e2e_rig.docker_cli import DockerCli
from e2e_rig.engine import Engine

from differ.normal import Normal
from differ.report import Answer, report
from differ.scripts import equal
from differ.wire import Exchange

_METHODS: Final = frozenset(("GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS", "PATCH"))
_SHOWN: Final = ("content-type", "location", "x-docker-container-path-stat", "docker-plugin-name")
_LIMIT_S: Final = 60
_STREAM_S: Final = 10.0
USAGE: Final = """usage: ./dev differ -- docker WORDS…
       ./dev differ -- METHOD PATH [BODY]
       ./dev differ -- sh -c 'docker …; docker …'"""


class NoQuestion(ValueError):
    """Words that are neither a command nor a call; the text says what is."""


@dataclass(frozen=True)
class Question:
    """What is asked of both: `words` of a command, or a call (`method`, `path`, `body`)."""

    words: tuple[str, ...] = ()
    method: str = ""
    path: str = ""
    body: bytes | None = None

    def __str__(self) -> str:
        if self.method:
            return " ".join([self.method, self.path, *([self.body.decode()] if self.body is not None else [])])
        return " ".join(
            word if word and word.isascii() and not set(word) & set(" '\"$;|&") else repr(word) for word in self.words
        )


def question(words: Sequence[str]) -> Question:
    """Read the words of a command line. Raises NoQuestion."""
    if words and words[0] in ("docker", "sh"):
        return Question(words=tuple(words))
    if 2 <= len(words) <= 3 and words[0] in _METHODS and words[1].startswith("/"):
        return Question(method=words[0], path=words[1], body=words[2].encode() if len(words) == 3 else None)
    raise NoQuestion(USAGE)


def ask(engine: Engine, asked: Question) -> Answer:
    """What one engine answers, raw and normalised; nothing that a command made is left."""
    return _call(engine, asked) if asked.method else _run(engine, asked.words)


def compared(docker: Answer, seaway: Answer, asked: Question) -> str:
    """The report."""
    return report(str(asked), docker, seaway)


def _run(engine: Engine, words: Sequence[str]) -> Answer:
    with tempfile.TemporaryDirectory(prefix="cli-") as place:
        config = Path(place, "config")
        config.mkdir()
        environment = DockerCli(engine.host, config).environment
        images = engine.api.images()
        try:
            done = subprocess.run(
                words, env=environment, cwd=place, stdin=subprocess.DEVNULL, capture_output=True, timeout=_LIMIT_S
            )
            code: object = done.returncode
            out, err = done.stdout, done.stderr
        except subprocess.TimeoutExpired as late:  # it streams, such as `docker events`
            code, out, err = f"none after {_LIMIT_S} s", late.stdout or b"", late.stderr or b""
        finally:
            engine.api.remove_all()
            engine.api.remove_networks()
            engine.api.remove_volumes()
            engine.api.remove_images(images)
    normal = Normal(str(engine.run.parent))
    normal.learn({"place": place})
    raw = {"code": str(code), "stdout": _text(out), "stderr": _text(err)}
    return Answer(raw, {part: equal(normal.text(text)) for part, text in raw.items()})


def _call(engine: Engine, asked: Question) -> Answer:
    headers = {"Content-Type": "application/json"} if asked.body is not None else {}
    exchange = Exchange(str(engine.socket), asked.method, asked.path, asked.body, headers, timeout=_STREAM_S)
    shown = {name: exchange.headers[name] for name in _SHOWN if name in exchange.headers}
    body = exchange.rest_in_time()
    normal = Normal(str(engine.run.parent))
    raw = {"status": str(exchange.status), "headers": _lines(shown), "body": _pretty(body)}
    return Answer(raw, {**raw, "body": _normalised(normal, body)})


def _lines(headers: Mapping[str, str]) -> str:
    return "\n".join(f"{name}: {value}" for name, value in headers.items())


def _text(data: bytes) -> str:
    return data.decode(errors="replace")


def _loaded(body: bytes) -> Any:
    """The body's JSON, or that of each of its lines; its text where it is none."""
    try:
        return json.loads(body)
    except ValueError:
        pass
    try:
        return [json.loads(line) for line in body.splitlines()]
    except ValueError:
        return _text(body)


def _pretty(body: bytes) -> str:
    return _shown(_loaded(body))


def _normalised(normal: Normal, body: bytes) -> str:
    return _shown(normal.value(_loaded(body)))


def _shown(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, indent=2, ensure_ascii=False, sort_keys=True)
