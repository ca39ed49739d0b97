"""Handing a message to an SMTP server, its address checked as those of webhooks are.

The server's name is resolved once; the connection goes to an address that was checked, and the certificate must be that
of the name. `aiosmtplib` takes a socket that is connected already, and ends when its time is over: a server that says a
byte a second holds no thread.
"""

import asyncio
import ipaddress
import logging
import socket
import ssl
from collections.abc import Sequence
from email.message import EmailMessage

import aiosmtplib
import anyio

from approvals.webhook.resolving import BlockedError, Resolve, checked, normal
from approvals.webhook.route import Answer, Outcome
from governance.config.models_channels import Channel as Settings

log = logging.getLogger(__name__)

LONGEST_ANSWER = 300
"""Characters of what a server said that are kept."""


async def handed_over(settings: Settings, message: EmailMessage, seconds: float, resolver: Resolve) -> Answer:
    """What the server answered. Once it took the message for one recipient, it is delivered."""
    try:
        with anyio.fail_after(seconds):
            return await _handed_over(settings, message, seconds, resolver)
    except BlockedError as error:
        log.warning("a message was not sent: %s", error)
        return Answer(Outcome.FAILED, 0, str(error))
    except aiosmtplib.SMTPRecipientsRefused as error:
        refused = error.recipients[0]
        return Answer(Outcome.FAILED, refused.code, f"no recipient was taken: {refused.message[:LONGEST_ANSWER]}")
    except aiosmtplib.SMTPResponseException as error:
        return Answer(Outcome.FAILED, error.code, error.message[:LONGEST_ANSWER])
    except (aiosmtplib.SMTPException, OSError, TimeoutError) as error:
        log.info("an attempt to send a message failed: %s", type(error).__name__)
        return Answer(Outcome.FAILED, 0, f"no answer came: {_why(error)}")


async def _handed_over(settings: Settings, message: EmailMessage, seconds: float, resolver: Resolve) -> Answer:
    host = settings.host.strip("[]")
    allowed = frozenset(normal(one) for one in settings.allow_private)
    addresses = await checked(host, settings.port, allowed, resolver)
    if settings.security == "none" and not all(ipaddress.ip_address(one).is_loopback for one in addresses):
        raise BlockedError(f"`{host}` is not this machine, so `security` must not be `none`")
    client = aiosmtplib.SMTP(
        hostname=host,
        port=None,
        sock=await _connected(addresses, settings.port),
        timeout=seconds,
        use_tls=settings.security == "tls",
        start_tls=settings.security == "starttls",
        tls_context=None if settings.security == "none" else ssl.create_default_context(),
        username=settings.user or None,
        password=settings.password or None,
    )
    async with client:
        refused, told = await client.send_message(message)
    if refused:
        log.warning("a message was not taken for %d of its recipients", len(refused))
        told = f"{told}; not for {', '.join(sorted(refused))}"
    return Answer(Outcome.DELIVERED, aiosmtplib.SMTPStatus.completed, told[:LONGEST_ANSWER])


async def _connected(addresses: Sequence[str], port: int) -> socket.socket:
    """A connection to the first of some addresses that takes one.

    Raises:
        OSError: none does.
    """
    failure = OSError()
    for address in addresses:
        try:
            return await _connected_to(address, port)
        except OSError as error:
            failure = error
    raise failure


async def _connected_to(address: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    connection = socket.socket(family, socket.SOCK_STREAM)
    try:
        connection.setblocking(False)
        await asyncio.get_running_loop().sock_connect(connection, (address, port))
    except BaseException:
        connection.close()
        raise
    return connection


def _why(error: Exception) -> str:
    """In our own words."""
    if isinstance(error.__cause__ or error, ssl.SSLCertVerificationError):
        return "the certificate is not that of the server"
    if isinstance(error, TimeoutError):
        return "it took too long"
    if isinstance(error, aiosmtplib.SMTPException) and not isinstance(error, OSError):
        return "the server offers no encryption, or no way to sign in"
    return "no connection could be made, or it broke"
