import pytest
from hypothesis import given
from hypothesis import strategies as st

from seaway_contracts.errors import SeawayError
from seaway_image.archives.shell_words import Budget, expand, split_words

VARIABLES = {"A": "1", "E": "", "P": "/bin:/sbin"}


@pytest.mark.parametrize(
    ("word", "text"),
    [
        ("/x:$P", "/x:/bin:/sbin"),
        ("a$A-${A}b$E$Z", "a1-1b"),
        ("$", "$"),
        ("a$/b", "a$/b"),
        ("$1$*", ""),
        ("${Z:-${A}x}", "1x"),
        ("${Z-u}${E-u}${E:-n}${E:+n}${E+s}${A:+s}", "unss"),
        ('${Z:-"a b"}', "a b"),
        (r"\$A\\\a", "$A\\a"),
        (r'"\$A\"\\\a $A"', '$A"\\\\a 1'),
        ("'$A\\'b", "$A\\b"),
        ("a\\", "a"),
        ("${A:?no}", "1"),
    ],
)
def test_expansions(word: str, text: str) -> None:
    assert expand(word, VARIABLES, Budget(1000)) == text


@pytest.mark.parametrize(
    ("word", "why"),
    [
        ("${Z:?no}", 'failed to process "${Z:?no}": Z: no'),
        ("${Z?}", "Z: is not allowed to be unset"),
        ("${E:?}", "E: is not allowed to be empty"),
        ("${A", "unsupported modifier ()"),
        ("${A^}", "unsupported modifier (^)"),
        ("${A#1}", "unsupported modifier (#)"),
        ("${A:x}", "unsupported modifier (:x)"),
        ("${}", "bad substitution"),
        ("${A:-x", "looking for matching }"),
        ("'a", "matching single-quote"),
        ('"a', "matching double-quote"),
        ("${A:-" * 40 + "}" * 40, "nested more than 32 deep"),
    ],
)
def test_what_cannot_be_expanded(word: str, why: str) -> None:
    with pytest.raises(SeawayError) as refused:
        expand(word, VARIABLES, Budget(1000))
    assert why in refused.value.message


def test_words_keep_their_quotes() -> None:
    assert split_words("""a "b c"=d e\\ f 'g"h' i"j k""") == ["a", '"b c"=d', "e\\ f", "'g\"h'", 'i"j k']


@given(st.text(alphabet=st.sampled_from("AZ${}:-+?'\"\\ x=#\n")))
def test_any_text_is_expanded_or_refused(text: str) -> None:
    for word in [text, *split_words(text)]:
        try:
            made = expand(word, VARIABLES, Budget(200))
        except SeawayError as refused:
            assert len(refused.message) < 1000
        else:
            assert len(made) <= 200


@given(st.text(alphabet=st.sampled_from("ab'\"\\ ")))
def test_splitting_loses_nothing_but_spaces(text: str) -> None:
    assert "".join(split_words(text)).replace(" ", "") == text.replace(" ", "")
