"""The guard of one stream of text: what leaves is what redacting the whole text would give, however it was cut.

Sans-io: text in, text out. It holds back only what could still become a finding: the word that is being written, a
run of digits, a key block that has not ended. Which stream this is and what a refusal looks like is not known here.
"""

import re
from collections.abc import Sequence

from governance.detect.actions import Actions
from governance.detect.detector import Detector, Hit
from governance.detect.rule import CONTEXT, WIDTH, Rule
from governance.detect.stage import action_for, replacement, summary
from governance.detect.views import plain
from governance.exchange import Role
from governance.verdict import ALLOWED, Decision, Finding, Verdict

MEMORY = 2 * WIDTH
"""How many characters that have left are remembered, for what may stand before a finding."""

MOST_HELD = 24_576
"""The longest stretch held back. A word longer than this is let go piece by piece, and looked at piece by piece."""

_LOOK = WIDTH + CONTEXT
# What a finding without spaces, or an escape inside one, may be made of.
_WORD = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_.+-/=@:%~#&;\\!$*?^|"
# Digits in groups, as cards and telephone numbers are written; the first of them starts the number.
_DIGITS = "0123456789 -.()+"
_NUMBER_START = re.compile(r"[0-9+(]")
# Capital letters and digits in groups, as an IBAN is printed.
_GROUPS = re.compile(r"[A-Z]{2}\d{2}(?:[ -]?[A-Z0-9]){0,32}[ -]?\Z", re.ASCII)
_GROUPS_LENGTH = 72
# An escape that is not finished: what it will stand for is anything.
_UNFINISHED = re.compile(r"(?:%[0-7]?|&#?\w{0,8}|\\(?:[ux][0-9a-fA-F]{0,3}|[nrt])?)\Z", re.ASCII)
_UNFINISHED_LENGTH = 10
# A private key block that has begun and not ended.
_BLOCK_START = "-----BEGIN"
_BLOCK_OPEN = re.compile(
    r"-----BEGIN(?: [A-Z0-9]{0,12}){0,7}-{0,4}\Z"
    r"|-----BEGIN (?:[A-Z0-9]{1,12} ){0,4}PRIVATE KEY(?: BLOCK)?-----(?!.*?-----END .{0,60}PRIVATE KEY(?: BLOCK)?-----)"
    r"[A-Za-z0-9+/=\s:,.()\\-]{0,20600}\Z",
    re.ASCII | re.DOTALL,
)
_BLOCK = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/=:,.()\\- \t\n\r\f\v"
_BLOCK_LENGTH = 20_700
"""What an open block is made of, its first line included, and how long it can be."""


class StreamGuard:
    """Redacts text as it comes. Feed it everything, then close it, and look at `verdict` after each."""

    def __init__(self, detector: Detector, actions: Actions, tenant: str, role: Role = Role.ASSISTANT) -> None:
        self._detector = detector
        self._actions = actions
        self._tenant = tenant
        self._role = role
        self._arguments = role is Role.ARGUMENT
        self._past = ""
        """The end of what has left, as it came in."""
        self._pending = ""
        self._left = 0
        """How many characters have left, counted as they came in."""
        self._phrase = max((rule.width + 2 for rule in detector.rules if self._redacts_phrase(rule)), default=0)
        self.findings: list[Finding] = []
        """What was found so far. Offsets count the characters of the whole stream as it came in."""
        self.verdict: Verdict = ALLOWED
        """What the strongest of the findings so far amounts to. From `hold` on, nothing leaves any more."""

    def feed(self, text: str) -> str:
        """Take in more text; returns what may leave now.

        Raises:
            Exception: the engine failed, so nothing more may leave.
        """
        self._pending += text
        keep = _held_from(self._pending)
        if self._phrase:
            keep = min(keep, len(self._pending) - self._phrase)
        forced = len(self._pending) - keep > MOST_HELD
        return self._release(len(self._pending) - WIDTH if forced else keep, forced=forced)

    def close(self) -> str:
        """The stream ended; returns what was held back.

        Raises:
            Exception: the engine failed, so nothing more may leave.
        """
        return self._release(len(self._pending), forced=False)

    def _release(self, upto: int, *, forced: bool) -> str:
        """Let go of the first `upto` characters of what is pending, or of less if a finding stands across the end."""
        if upto <= 0 or self.verdict.decision.strength >= Decision.HOLD.strength:
            return ""
        hits: list[Hit] = []
        if not self._detector.is_clean(self._past[-_LOOK:] + self._pending, arguments=self._arguments):
            hits = self._hits()
            upto = self._around(hits, upto, forced=forced)
        leaving, self._pending = self._pending[:upto], self._pending[upto:]
        out = self._redacted(leaving, hits) if hits else leaving
        self._past = (self._past + leaving)[-MEMORY:]
        self._left += len(leaving)
        return "" if self.verdict.decision.strength >= Decision.HOLD.strength else out

    def _hits(self) -> list[Hit]:
        """What stands in the pending text or reaches into it; offsets count from its first character."""
        before = len(self._past)
        hits = self._detector.hits(
            self._past + self._pending, self._applicable, start=before, arguments=self._arguments
        )
        return [hit._replace(start=hit.start - before, end=hit.end - before) for hit in hits]

    def _applicable(self, rule: Rule, _offset: int) -> bool:
        return rule.roles is None or self._role in rule.roles

    def _redacts_phrase(self, rule: Rule) -> bool:
        return rule.phrase and self._applicable(rule, 0) and self._action(rule.kind) == "redact"

    def _action(self, kind: str) -> str:
        return action_for(self._actions, kind, self._tenant, is_call=False)

    def _around(self, hits: Sequence[Hit], upto: int, *, forced: bool) -> int:
        """The end of what may leave, moved so that it does not cut through what will be replaced."""
        for hit in sorted(hits, key=lambda one: one.start, reverse=not forced):
            if hit.start < upto < hit.end and self._action(hit.rule.kind) == "redact":
                upto = hit.end if forced else max(hit.start, 0)
        return upto

    def _redacted(self, leaving: str, hits: Sequence[Hit]) -> str:
        """`leaving` with what was found replaced; notes the findings that are now complete."""
        out: list[str] = []
        done = 0
        for hit in hits:
            if hit.end > len(leaving):
                continue
            finding = self._note(hit)
            if finding.action == "redact":
                if hit.start >= done:
                    out += [leaving[done : hit.start], replacement(finding.kind)]
                done = max(done, hit.end)
        return "".join(out) + leaving[done:]

    def _note(self, hit: Hit) -> Finding:
        finding = Finding(
            kind=hit.rule.kind,
            rule=hit.rule.id,
            pointer="",
            start=self._left + hit.start,
            end=self._left + hit.end,
            role=self._role.value,
            action=self._action(hit.rule.kind),
            view=hit.view,
        )
        self.findings.append(finding)
        verdict = summary([finding])
        if self.verdict is ALLOWED or verdict.decision.strength > self.verdict.decision.strength:
            self.verdict = verdict
        return finding


def _held_from(text: str) -> int:
    """Where the part of `text` begins that could still become a finding, in any reading of it."""
    keep = _held_as_read(text)
    if text.isascii() and "%" not in text and "&" not in text and "\\" not in text:
        return keep
    keep = min(keep, _held_as_meant(text))
    unfinished = _UNFINISHED.search(text, max(0, len(text) - _UNFINISHED_LENGTH))
    if unfinished and unfinished.start():
        keep = min(keep, _held_as_meant(text[: unfinished.start()]))
    return keep


def _held_as_meant(text: str) -> int:
    reading = plain(text)
    if reading is None:
        return _held_as_read(text)
    keep = _held_as_read(reading.text)
    return reading.origin(keep, keep + 1).start if keep < len(reading.text) else len(text)


def _held_as_read(text: str) -> int:
    keep = len(text.rstrip(_WORD))
    digits = _NUMBER_START.search(text, len(text.rstrip(_DIGITS)))
    if digits:
        keep = min(keep, digits.start())
    groups = _GROUPS.search(text, max(0, len(text) - _GROUPS_LENGTH))
    if groups:
        keep = min(keep, groups.start())
    block = text.find(_BLOCK_START, max(len(text.rstrip(_BLOCK)), len(text) - _BLOCK_LENGTH))
    while 0 <= block < keep:
        if _BLOCK_OPEN.match(text, block):
            return block
        block = text.find(_BLOCK_START, block + 1)
    return keep
