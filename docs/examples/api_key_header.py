"""Authentication by `api-key` (Azure OpenAI)."""


def headers(api_key: str) -> dict[str, str]:
    """The headers that carry the key."""
    return {"api-key": api_key} if api_key else {}
