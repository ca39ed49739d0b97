"""What must hold between the settings of a channel (`governance.config.models_channels`). Pure."""

import re
from collections.abc import Iterator

from governance.config.addresses import bad_address, is_loopback
from governance.config.models_channels import Channel
from governance.config.oauth_checks import Complaint

_ADDRESS = re.compile(r"[A-Za-z0-9.!#$%&'*+/=?^_`{|}~-]+@[A-Za-z0-9](?:[A-Za-z0-9.-]*[A-Za-z0-9])?")
_HOST = re.compile(r"[A-Za-z0-9._-]+|\[?[0-9a-fA-F:.]+\]?")
_CHAT = {"url": ""}
_MAIL = {"host": "", "port": 587, "security": "starttls", "user": "", "password": "", "sender": "", "recipients": ()}


def channel(name: str, settings: Channel) -> Iterator[Complaint]:
    """What is wrong with one channel."""
    place = ("approvals", "channels", name)
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}", name):
        yield place, "is not a usable name", "use up to 64 letters, digits, `.`, `_` and `-`"
    foreign = _CHAT if settings.type == "email" else _MAIL
    for setting, usual in foreign.items():
        if getattr(settings, setting) != usual:
            yield (*place, setting), f"does not belong to the type `{settings.type}`", "take it out"
    yield from _mail(settings, place) if settings.type == "email" else _chat(settings, place)


def _chat(settings: Channel, place: tuple[str, ...]) -> Iterator[Complaint]:
    if what := bad_address(settings.url) if settings.url else "is missing":
        yield (*place, "url"), what, "write `url: ${NAME}`, with `https://HOST/PATH` in that environment variable"


def _mail(settings: Channel, place: tuple[str, ...]) -> Iterator[Complaint]:
    if not _HOST.fullmatch(settings.host):
        yield (*place, "host"), "must be the name of a host", "write `smtp.example.org`"
    elif settings.security == "none" and not is_loopback(settings.host):
        what = "may only be `none` where `host` is this very machine"
        yield (*place, "security"), what, "use `starttls`, or `tls` for port 465"
    if bool(settings.user) != bool(settings.password):
        missing = "password" if settings.user else "user"
        yield (*place, missing), "is missing", "`user` and `password` go together"
    if not _ADDRESS.fullmatch(settings.sender):
        yield (*place, "sender"), "must be an address", "write `wicket@example.org`"
    if not settings.recipients:
        yield (*place, "recipients"), "names nobody", "write `[team@example.org]`"
    for index, one in enumerate(settings.recipients):
        if not _ADDRESS.fullmatch(one):
            yield (*place, "recipients", index), "must be an address", "write `team@example.org`"
