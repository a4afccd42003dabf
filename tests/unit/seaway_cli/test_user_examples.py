"""What a new user is told to type."""

import ast
import json
from pathlib import Path

import pytest

from seaway_cli.user_examples import GO, JAVASCRIPT, PYTHON, Access

PLAIN = Access("nats://127.0.0.1:4222", Path("/keys/it's.nk"), "seaway.v1.event.*.container.die.*")
SECURE = Access("tls://10.0.0.5:4222", Path("/keys/bob.nk"), "seaway.v1.event.>", Path("/ca.pem"))


@pytest.mark.parametrize("access", [PLAIN, SECURE])
@pytest.mark.parametrize("program", [PYTHON, GO, JAVASCRIPT])
def test_each_program_has_all_that_it_needs(access: Access, program: str) -> None:
    text = access.example(program)
    assert "$" not in text
    for word in (access.url, str(access.key), access.subject):
        assert json.dumps(word) in text
    assert ('"/ca.pem"' in text) is (access.ca is not None)


@pytest.mark.parametrize("access", [PLAIN, SECURE])
def test_the_python_program_is_one(access: Access) -> None:
    ast.parse(access.example(PYTHON))


def test_a_context_of_the_nats_command() -> None:
    found = json.loads(SECURE.context("bob"))
    description = "Events of Seaway, as the user bob"
    assert found == {"description": description, "url": SECURE.url, "nkey": "/keys/bob.nk", "ca": "/ca.pem"}
    assert "ca" not in json.loads(PLAIN.context("bob"))
