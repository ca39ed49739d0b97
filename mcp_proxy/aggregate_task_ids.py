"""Ids of tasks at the aggregate: server and the server's own id, sealed for one owner.

A task is named in many messages, and always by the same id: so the same task gets the same text each time, without
anything being remembered (AES-SIV, RFC 5297: made to be safe without a random part). Two servers may use one id, and
nobody can make an id, or use another's.
"""

import binascii
import hashlib
import hmac
from base64 import b64decode, urlsafe_b64encode

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESSIV

from governance import jsontree

_PURPOSE = b"mcp.task_id.1"
_FORM = "t1."

Owner = tuple[str, str, str]


class TaskIds:
    """Seals and opens ids.

    Args:
        key: 32 bytes. Another key is made from it, for this purpose only.
    """

    def __init__(self, key: bytes) -> None:
        self._cipher = AESSIV(hmac.digest(key, _PURPOSE, hashlib.sha512))

    def seal(self, owner: Owner, server: str, task_id: str) -> str:
        """The id by which an owner knows a server's task."""
        sealed = self._cipher.encrypt(jsontree.dump([server, task_id]), _bound(owner))
        return _FORM + urlsafe_b64encode(sealed).decode()

    def open(self, sealed: str, owner: Owner) -> tuple[str, str] | None:
        """The server, and its own id; None if it is not ours, or not this owner's."""
        try:
            raw = b64decode(sealed.removeprefix(_FORM), altchars=b"-_", validate=True)
            if _FORM + urlsafe_b64encode(raw).decode() != sealed:
                return None
            found = jsontree.as_list(jsontree.parse(self._cipher.decrypt(raw, _bound(owner))))
        except (InvalidTag, binascii.Error, ValueError):
            return None
        server, task_id = found
        return jsontree.as_text(server), jsontree.as_text(task_id)


def _bound(owner: Owner) -> list[bytes]:
    return [jsontree.dump(list(owner))]
