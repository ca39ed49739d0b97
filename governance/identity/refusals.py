"""Why somebody is not let in. Every message is ours and safe to send."""


class UnknownKeyError(Exception):
    """No valid key. The message is ours, the same for every token, and safe to send: answer 401."""


class TokenError(UnknownKeyError):
    """An access token that is not good here. What is said goes no further than what its sender knows: answer 401."""


class InsufficientScopeError(UnknownKeyError):
    """A valid access token without a scope that is asked of every token: answer 403 (RFC 6750 section 3.1)."""


class IdentityStaleError(Exception):
    """Keys could not be read for too long, so nobody can be believed any more: answer 503."""


class SignInError(Exception):
    """Why somebody whom an identity provider sent is not let in. The message is ours, for them to read."""

    def __init__(self, code: str, message: str) -> None:
        self.code = code
        """Stable word, for the audit log."""
        super().__init__(message)
