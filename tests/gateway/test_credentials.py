"""Where keys are found, and what is left of the query."""

import pytest

from gateway.credentials import stripped, token


@pytest.mark.parametrize(
    ("headers", "query", "found"),
    [
        ({}, b"", None),
        ({}, b"beta=true", None),
        ({}, b"beta=true&key=a%2Fb", "a/b"),
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


@pytest.mark.parametrize(
    ("query", "rest"),
    [
        (b"", ""),
        (b"beta=true", "beta=true"),
        (b"key=a", ""),
        (b"a=1&key=x&b=%20", "a=1&b=%20"),
        (b"KEY=a&%6b%65y=b&+key=c&key", ""),
        (b"monkey=a", "monkey=a"),
    ],
)
def test_no_spelling_of_the_key_goes_on(query: bytes, rest: str) -> None:
    assert stripped(query) == rest
