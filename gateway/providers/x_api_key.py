"""Authentication by `x-api-key` (Anthropic)."""


def headers(api_key: str) -> dict[str, str]:
    """The headers that carry the key."""
    return {"x-api-key": api_key} if api_key else {}
