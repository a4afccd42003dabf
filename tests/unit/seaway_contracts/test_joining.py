import pytest

from seaway_contracts.errors import Code, SeawayError
from seaway_contracts.joining import (
    MOST_TTL_S,
    MOST_USES,
    AdmitNode,
    CreateToken,
    JoinToken,
    TokenText,
    check_admit,
    check_create,
    given_back,
    hash_of,
    parse_token,
    refusal,
    used,
)

SECRET = "5" * 32
KEY, OTHER_KEY = "U" + "A" * 55, "U" + "B" * 55
TOKEN = JoinToken(id="a" * 12, hash=hash_of(SECRET), created_ns=1, expires_ns=100, uses=2)


def admit(node: str = "n1", key: str = KEY, secret: str = SECRET) -> AdmitNode:
    return AdmitNode(token=TOKEN.id, secret=secret, node=node, public_key=key)


@pytest.mark.parametrize("password", ["x", "pass-word_1", "-", "a" * 128])
def test_a_token_is_read_as_it_was_written(password: str) -> None:
    token = TokenText("0123456789ab", SECRET, password)
    assert parse_token(str(token)) == token
    assert parse_token(f"  {token}\n") == token
    assert SECRET not in repr(token) and password * 2 not in repr(token)


@pytest.mark.parametrize(
    "text",
    ["", "SWTKN", "SWTKN-a-b-c", f"SWTKN-{'A' * 12}-{SECRET}-p", f"SWTKN-{'a' * 12}-{SECRET}-", f"{SECRET} secret"],
)
def test_what_is_no_token_is_not_repeated(text: str) -> None:
    with pytest.raises(ValueError, match="this is no token: one begins with SWTKN-") as caught:
        parse_token(text)
    assert SECRET not in str(caught.value)


def test_a_token_admits_as_often_as_it_may_be_used() -> None:
    assert refusal(TOKEN, admit(), 99) == ""
    once = used(TOKEN, "n1", KEY)
    assert refusal(once, admit("n2"), 99) == ""
    twice = used(once, "n2", OTHER_KEY)
    assert refusal(twice, admit("n3"), 99) == "used"
    assert refusal(given_back(twice, "n2", OTHER_KEY), admit("n3"), 99) == ""
    assert given_back(twice, "n2", KEY) is twice


def test_who_has_used_it_may_repeat_the_request_and_nobody_else_in_its_name() -> None:
    full = used(used(TOKEN, "n1", KEY), "n2", OTHER_KEY)
    assert refusal(full, admit(), 99) == ""
    assert refusal(full, admit(), 1000) == ""
    assert refusal(full, admit(key=OTHER_KEY), 99) == "used"
    assert refusal(used(TOKEN, "n1", ""), admit(), 99) == "used", "the node was removed"


def test_other_tokens_admit_nobody() -> None:
    assert refusal(None, admit(), 1) == "unknown"
    assert refusal(TOKEN, admit(secret="6" * 32), 1) == "unknown"
    assert refusal(TOKEN, admit(secret=TOKEN.hash), 1) == "unknown"
    assert refusal(used(TOKEN, "n1", KEY), admit(secret=""), 1) == "unknown"
    assert refusal(TOKEN, admit(), 100) == "expired"


def test_what_is_told_of_a_token_has_no_secret() -> None:
    shown = used(TOKEN, "n1", KEY).info.model_dump_json()
    assert TOKEN.hash not in shown and KEY not in shown and '"joined":["n1"]' in shown


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"id": "x"}, "a token needs an id of 12"),
        ({"hash": SECRET}, "a hash of 64 hex digits"),
        ({"uses": 0}, "0 uses: a token may be used 1 to 1000 times"),
        ({"uses": MOST_USES + 1}, "1001 uses"),
        ({"ttl_s": 0}, "valid for 1 second to 365 days"),
        ({"ttl_s": MOST_TTL_S + 1}, "valid for 1 second to 365 days"),
        ({"labels": {"": "x"}}, "'' is no label"),
        ({"labels": {"a b": "x"}}, "'a b' is no label"),
        ({"labels": {"-a": "x"}}, "'-a' is no label"),
        ({"labels": {"a" * 129: "x"}}, "is no label"),
        ({"labels": {"a": "x\n"}}, "the value of label 'a' must be printable"),
        ({"labels": {"a": "x" * 257}}, "256 characters at most"),
        ({"labels": {"db.password": "x"}}, "has the name of a secret"),
        ({"labels": {f"a{number}": "" for number in range(65)}}, "65 labels"),
    ],
)
def test_tokens_that_can_not_be(changes: dict[str, object], sentence: str) -> None:
    good = CreateToken(id=TOKEN.id, hash=TOKEN.hash, ttl_s=60, labels={"disk": "ssd", "com.example/zone": ""})
    check_create(good)
    with pytest.raises(SeawayError, match=sentence) as caught:
        check_create(good.model_copy(update=changes))
    assert caught.value.code is Code.BAD_REQUEST


@pytest.mark.parametrize(
    ("node", "key"),
    [("", KEY), ("a.b", KEY), ("all", KEY), ("JOIN", KEY), ("n*", KEY), ("n1", ""), ("n1", "S" + KEY[1:])],
)
def test_nodes_and_keys_that_can_not_be(node: str, key: str) -> None:
    check_admit(admit())
    with pytest.raises(SeawayError) as caught:
        check_admit(admit(node, key))
    assert caught.value.code is Code.BAD_REQUEST


@pytest.mark.parametrize(
    "changes", [{"token": "x\nfake line"}, {"token": SECRET}, {"secret": ""}, {"secret": "\ud800" * 32}]
)
def test_a_malformed_token_is_refused_and_not_repeated(changes: dict[str, str]) -> None:
    with pytest.raises(SeawayError, match="the token is malformed") as caught:
        check_admit(admit().model_copy(update=changes))
    assert not any(value and value in caught.value.message for value in changes.values())
