"""Go's sentences on what is no JSON; each was read from a dockerd."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from seaway_docker.go_syntax import syntax_error


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ("{", "unexpected EOF"),
        ("[1,", "unexpected EOF"),
        ('{"a":"b', "unexpected EOF"),
        ('{"a"', "unexpected EOF"),
        ("tru", "unexpected EOF"),
        ("-", "unexpected EOF"),
        ("1.", "unexpected EOF"),
        ('"\\u12', "unexpected EOF"),
        ("a", "invalid character 'a' looking for beginning of value"),
        ("]", "invalid character ']' looking for beginning of value"),
        ("'", r"invalid character '\'' looking for beginning of value"),
        ("[1,]", "invalid character ']' looking for beginning of value"),
        ("{a:1}", "invalid character 'a' looking for beginning of object key string"),
        ('{"a":1,}', "invalid character '}' looking for beginning of object key string"),
        ('{"a" 1}', "invalid character '1' after object key"),
        ('{"a":1 "b"}', "invalid character '\"' after object key:value pair"),
        ("[1 2]", "invalid character '2' after array element"),
        ("[01]", "invalid character '1' after array element"),
        ("{} x", "invalid character 'x' after top-level value"),
        ("-a", "invalid character 'a' in numeric literal"),
        ("[1.x]", "invalid character 'x' after decimal point in numeric literal"),
        ("[1ex]", "invalid character 'x' in exponent of numeric literal"),
        ("[1e+x]", "invalid character 'x' in exponent of numeric literal"),
        ("trux", "invalid character 'x' in literal true (expecting 'e')"),
        ("nil", "invalid character 'i' in literal null (expecting 'u')"),
        ('"a\nb"', r"invalid character '\n' in string literal"),
        ('"\\x"', "invalid character 'x' in string escape code"),
        ('"\\u12g4"', r"invalid character 'g' in \u hexadecimal character escape"),
        ('"\x01"', r"invalid character '\x01' in string literal"),
    ],
)
def test_faults(text: str, error: str) -> None:
    assert syntax_error(text) == error


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
)


@given(_JSON, st.booleans())
def test_json_has_no_fault(value: object, ascii_only: bool) -> None:
    assert syntax_error(json.dumps(value, ensure_ascii=ascii_only)) == ""


@given(st.text(alphabet='{}[]",:\\utrue-1.eE0 \n'))
def test_whatever_python_refuses_has_a_fault(text: str) -> None:
    try:
        json.loads(text)
    except ValueError:
        assert syntax_error(text)
    else:
        assert syntax_error(text) == ""
