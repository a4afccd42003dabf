"""Names of byte streams and where their bytes go."""

import pytest

from seaway_contracts.catalogue import FROM_SERVER, TO_SERVER, later_stream, stream_subject
from seaway_contracts.ids import BadToken


def test_subjects() -> None:
    assert stream_subject("local-ab", TO_SERVER) == "seaway.v1.stream.local-ab.in"
    assert stream_subject("n_1.local-ab", FROM_SERVER) == "seaway.v1.node.n_1.tell.stream.local-ab"
    assert stream_subject("n_1.local-ab", TO_SERVER) == "seaway.v1.node.n_1.do.stream.local-ab"
    with pytest.raises(BadToken):
        stream_subject("n1.", TO_SERVER)


@pytest.mark.parametrize("name", ["local-ab", "n_1.local-ab"])
def test_later_streams_have_names_of_their_own_and_the_same_subjects(name: str) -> None:
    names = [later_stream(name, number) for number in range(3)]
    assert len(set(names)) == 3 and names[0] == name
    assert {stream_subject(one, TO_SERVER) for one in names} == {stream_subject(name, TO_SERVER)}
