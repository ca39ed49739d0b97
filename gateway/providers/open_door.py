"""No authentication: a model server on the same machine or in a closed network."""


def headers(_api_key: str) -> dict[str, str]:
    """No headers, whatever the key."""
    return {}
