"""Authentication by `Authorization: Bearer` (OpenAI and most hosts that speak its wire)."""


def headers(api_key: str) -> dict[str, str]:
    """The headers that carry the key."""
    return {"authorization": f"Bearer {api_key}"} if api_key else {}
