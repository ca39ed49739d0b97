"""Where keys are found, and what is left of the query."""

import pytest

from gateway.credentials import passed, token
from pipeline.border import BadRequestError


@pytest.mark.parametrize(
    ("headers", "query", "found"),
    [
        ({}, b"", None),
        ({}, b"beta=true", None),
        ({}, b"beta=true&key=wk_a%2Fb", "wk_a/b"),
        ({}, b"key=eyJ.eyJ.sig", ""),
        ({}, b"key=opaque&key=wk_a", ""),
        ({"authorization": "Bearer a"}, b"key=b", "a"),
        ({"authorization": "BEARER  a "}, b"", "a"),
        ({"authorization": "a"}, b"", "a"),
        ({"authorization": "Basic x", "x-api-key": "a"}, b"", "a"),
        ({"x-api-key": "a", "x-goog-api-key": "b"}, b"", "a"),
        ({"authorization": "Bearer "}, b"", ""),
    ],
)
def test_the_first_place_that_holds_a_key_is_taken(headers: dict[str, str], query: bytes, found: str | None) -> None:
    assert token(headers, query) == found


WIRE = frozenset(("beta", "monkey"))


@pytest.mark.parametrize(
    ("query", "rest"),
    [
        (b"", ""),
        (b"beta=true", "beta=true"),
        (b"key=a", ""),
        (b"beta=1&key=x&beta=2", "beta=1&beta=2"),
        (b"KEY=a&%6b%65y=b&+key=c&key", ""),
        (b"monkey=a", "monkey=a"),
    ],
)
def test_no_spelling_of_the_key_goes_on(query: bytes, rest: str) -> None:
    assert passed(query, WIRE) == rest


@pytest.mark.parametrize(
    "query",
    [
        *(b"note=123-45-6789", b"beta=123-45-6789", b"beta=AKIAQYLPMN5HHHFPZAM2"),
        *(b"beta=a%20b", b"beta=" + b"a" * 17, b"%62eta=true", b"beta=\xff"),
    ],
)
def test_a_query_that_nobody_judged_is_refused(query: bytes) -> None:
    with pytest.raises(BadRequestError, match="may only hold what this wire defines"):
        passed(query, WIRE)
