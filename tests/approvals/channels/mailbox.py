"""A real SMTP server on loopback that keeps what it is handed, with and without encryption and signing in."""

import asyncio
import contextlib
import ipaddress
import ssl
import warnings
from collections.abc import AsyncGenerator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from email import message_from_bytes
from email.message import EmailMessage
from email.policy import default
from pathlib import Path
from typing import Any

from aiosmtpd.smtp import SMTP, AuthResult, Envelope, LoginPassword
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID

USER, PASSWORD = "wicket", "hunter2-hunter2"


@dataclass
class Mailbox:
    """The handler of `aiosmtpd`. Answers with `replies` in turn, then takes everything."""

    port: int = 0
    replies: list[str] = field(default_factory=list[str])
    unknown: set[str] = field(default_factory=set[str])
    """Recipients that are refused."""
    envelopes: list[tuple[list[str], EmailMessage]] = field(default_factory=list[tuple[list[str], EmailMessage]])
    encrypted: list[bool] = field(default_factory=list[bool])

    async def handle_RCPT(self, _server: Any, _session: Any, envelope: Envelope, address: str, _options: Any) -> str:  # noqa: N802 - the library's name
        if address in self.unknown:
            return "550 5.1.1 no such mailbox"
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server: Any, _session: Any, envelope: Envelope) -> str:  # noqa: N802 - the library's name
        if self.replies:
            return self.replies.pop(0)
        message = message_from_bytes(bytes(envelope.content or b""), policy=default)  # type: ignore[reportArgumentType]
        assert isinstance(message, EmailMessage)
        self.envelopes.append((list(envelope.rcpt_tos), message))
        self.encrypted.append(server.transport.get_extra_info("sslcontext") is not None)
        return "250 2.0.0 kept"


def _known(_server: Any, _session: Any, _envelope: Any, _mechanism: str, told: Any) -> AuthResult:
    right = isinstance(told, LoginPassword) and (told.login, told.password) == (USER.encode(), PASSWORD.encode())
    return AuthResult(success=right, handled=False)


@contextlib.asynccontextmanager
async def mailbox(
    *, tls: ssl.SSLContext | None = None, starttls: ssl.SSLContext | None = None, auth: bool = False
) -> AsyncGenerator[Mailbox]:
    """A server while the block is open."""
    found = Mailbox()
    loop = asyncio.get_running_loop()

    def protocol() -> SMTP:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # it takes a connection that begins encrypted for a plain one
            return SMTP(
                found, hostname="mail.test", tls_context=starttls, require_starttls=starttls is not None, loop=loop,
                authenticator=_known if auth else None, auth_required=auth, auth_require_tls=starttls is not None,
            )  # fmt: skip

    server = await loop.create_server(protocol, "127.0.0.1", 0, ssl=tls)
    found.port = server.sockets[0].getsockname()[1]
    try:
        yield found
    finally:
        server.close()
        await server.wait_closed()


def certificate(folder: Path, name: str) -> tuple[ssl.SSLContext, Path]:
    """The context of a server of this name, and the file of who vouches for it: itself."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    now = datetime.now(UTC)  # noqa: TID251 - TLS reads the machine's clock
    made = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(
            x509.SubjectAlternativeName([x509.DNSName(name), x509.IPAddress(ipaddress.ip_address("127.0.0.9"))]), False
        )
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), True)
        .sign(key, hashes.SHA256())
    )
    file = folder / f"{name}.pem"
    file.write_bytes(
        key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()) + made.public_bytes(Encoding.PEM)
    )
    trust = folder / f"{name}.ca.pem"
    trust.write_bytes(made.public_bytes(Encoding.PEM))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(file)
    return context, trust
