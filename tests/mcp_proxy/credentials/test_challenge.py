"""What is told of a scope that a server wants: the server's own words, and so not many of them."""

import pytest

from mcp_proxy.credentials.challenge import wanted_scope
from mcp_proxy.credentials.credential import Refusal


@pytest.mark.parametrize(
    ("challenge", "told"),
    [
        ('Bearer error="insufficient_scope", scope="files:read files:write"', "files:read files:write"),
        ("Bearer scope=a, error=insufficient_scope", "a"),
        ('Bearer error="insufficient_scope"', "another one"),
        ('Bearer error="insufficient_scope", scope="a\tb"', "another one"),
        (f'Bearer error="insufficient_scope", scope="{"word " * 20}end"', "another one"),
        (f'Bearer error="insufficient_scope", scope="{"x" * 90} {"y" * 90} {"z" * 90}"', "another one"),
        ('Bearer error="invalid_token", scope="a"', ""),
        ("", ""),
    ],
)
def test_a_wanted_scope_is_told_if_it_is_short(challenge: str, told: str):
    assert wanted_scope(Refusal(403, challenge)) == told
