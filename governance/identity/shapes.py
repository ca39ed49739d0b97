"""What tells an access token from a gateway key, without a word of what makes it good: that is `access_token.py`."""

PREFIX = "oauth_"
"""How the key id of a principal begins who came with a token. Those of gateway keys begin with `key_`."""
OURS = ("wk_", "wka_")
"""How gateway keys and generated admin tokens begin; no issuer is asked about such a text."""
LONGEST_JWT = 16 * 1024
"""A longer text is not read as a token."""


def is_jwt(token: str) -> bool:
    """Whether a credential has the shape of a JSON Web Token; a gateway key never has."""
    return len(token) <= LONGEST_JWT and token.count(".") == 2
