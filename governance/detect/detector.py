"""Finding things in text: first ask the prefilter what could be there, then look exactly, only for that.

Pure and synchronous, and immutable once made, so that threads share it. It says what was found and where; what
happens then is `governance/detect/stage.py` for whole bodies and `pipeline/stream.py` for streams.
"""

from bisect import bisect_right
from collections.abc import Iterable, Sequence
from functools import partial
from pathlib import Path
from typing import NamedTuple

from governance.detect.engine import Choice, Engine, Fired, Gate, characters, open_engine
from governance.detect.families import all_families
from governance.detect.reading import Applicable, Reading
from governance.detect.rule import SEPARATOR, Rule
from governance.detect.runs import RUN_GATES
from governance.detect.views import ESCAPE_GATES, Span, View, encoded, plain, plain_text
from governance.exchange import Role, Segment
from governance.verdict import Finding

_ARGUMENT = frozenset((Role.ARGUMENT,))
_GATE_WIDTH = 24
"""Most characters that the gates of escapes and of encoded runs match."""
_MOST_RUN_ENDS = 2048
"""From so many on, encoded runs are looked for exactly: their gates match at each letter of a run of one letter."""


def _always(_rule: Rule, _offset: int) -> bool:
    return True


class Hit(NamedTuple):
    """Something found in one text, in the text's own offsets."""

    rule: Rule
    start: int
    end: int
    view: str


def join(texts: Sequence[str]) -> str:
    """`texts` as one text, with a separator that stands nowhere else in it. Offsets are kept."""
    joined = SEPARATOR.join(texts)
    if joined.count(SEPARATOR) >= max(len(texts), 1):
        joined = SEPARATOR.join([text.replace(SEPARATOR, "\x01") for text in texts])
    return joined


class Detector:
    """A set of rules, ready to be looked for."""

    def __init__(self, rules: Sequence[Rule], choice: Choice = "auto", cache: Path | None = None) -> None:
        """Compile `rules`; takes some hundred milliseconds, so do it off the path of requests.

        Raises:
            ValueError: two rules have the same id.
        """
        if len({rule.id for rule in rules}) != len(rules):
            raise ValueError("two detection rules have the same id: give each its own")
        self.rules = tuple(rules)
        first = len(self.rules)
        self._escapes = range(first, first + len(ESCAPE_GATES))
        self._runs = range(self._escapes.stop, self._escapes.stop + len(RUN_GATES))
        gates = {index: _gate(rule) for index, rule in enumerate(self.rules)}
        gates |= {
            number: Gate(pattern, width=_GATE_WIDTH) for number, pattern in zip(self._runs, RUN_GATES, strict=True)
        }
        gates |= {
            number: Gate(pattern, width=_GATE_WIDTH, once=True)
            for number, pattern in zip(self._escapes, ESCAPE_GATES, strict=True)
        }
        arguments = {index for index, rule in enumerate(self.rules) if rule.roles == _ARGUMENT}

        def engine(group: str, numbers: Iterable[int], most: int = 0) -> Engine:
            return open_engine({number: gates[number] for number in numbers}, choice, cache, group=group, most=most)

        # One database of everything takes twice as long as these three together: the gates of encoded runs match a
        # little nearly everywhere, and keep Hyperscan from skipping ahead with the rest.
        self._general = engine("general", [*(set(range(first)) - arguments), *self._escapes])
        self._arguments = engine("arguments", sorted(arguments))
        self._encodings = engine("encodings", self._runs, _MOST_RUN_ENDS)

    @property
    def engine(self) -> str:
        """Name of the prefilter in use: `hyperscan` or `re`."""
        return self._general.name

    def is_clean(self, text: str, *, arguments: bool = True) -> bool:
        """Whether there is surely nothing in `text`, in any reading of it. Cheaper than `hits`: it asks not where.

        Without `arguments` the rules that are only for arguments are left out, here and in the methods below.

        Raises:
            Exception: whatever the engine raised; then nothing is known about `text`.
        """
        fired = self._fired(text, arguments)
        if self._has_match(text, fired):
            return False
        escapes = not fired.keys().isdisjoint(self._escapes)
        if escapes or not text.isascii():
            text = plain_text(text, escapes=escapes)
            fired = self._fired(text, arguments)
            if self._has_match(text, fired):
                return False
        if fired.keys().isdisjoint(self._runs):
            return True
        inside = SEPARATOR.join(view.text for view in self._encoded(text, fired))
        return not self._has_match(inside, self._fired(inside, arguments))

    def _has_match(self, text: str, fired: Fired) -> bool:
        """Whether anything is found in one reading of which the prefilter said `fired`; gates are loose."""
        if not self._may_hit(fired):
            return False
        reading = Reading(text, Span)
        for index in fired:
            if index < len(self.rules):
                for _ in reading.matches(self.rules[index], fired[index], _always):
                    return True
        return False

    def _may_hit(self, fired: Fired) -> bool:
        """Whether any rule could match where the prefilter said `fired`."""
        return bool(fired) and min(fired) < len(self.rules)

    def _fired(self, text: str, arguments: bool) -> Fired:
        data = text.encode("utf-8", "surrogatepass")
        fired = self._general.fired(data) | self._encodings.fired(data)
        return fired | self._arguments.fired(data) if arguments else fired

    def _encoded(self, text: str, fired: Fired) -> Iterable[View]:
        """The encoded runs of a text of which the prefilter said `fired`."""
        ends = [characters(text, fired[index]) if index in fired else None for index in self._runs]
        return encoded(text, ends)

    def hits(self, text: str, applicable: Applicable = _always, *, start: int = 0, arguments: bool = True) -> list[Hit]:
        """Everything in `text` that ends after `start`, in order; `applicable` says which rules count where.

        Raises:
            Exception: whatever the engine raised; then nothing is known about `text`.
        """
        raw = View("raw", text, Span)
        fired, found = self._search(raw, arguments, applicable)
        outer = raw
        escapes = not fired.keys().isdisjoint(self._escapes)
        if escapes or not text.isascii():
            folded = plain(text, escapes=escapes)
            if folded is not None:
                outer = folded
                fired, more = self._search(outer, arguments, applicable)
                found += more
        for run in self._encoded(outer.text, fired):
            whole = outer.origin(*run.origin(0, 0))
            found += self._search(View(run.name, run.text, partial(_within, whole)), arguments, applicable)[1]
        return _widest([hit for hit in found if hit.end > start])

    def _search(self, view: View, arguments: bool, applicable: Applicable) -> tuple[Fired, list[Hit]]:
        """What the prefilter said of one reading, and what exact matching found in it."""
        fired = self._fired(view.text, arguments)
        found: list[Hit] = []
        if self._may_hit(fired):
            reading = Reading(view.text, view.origin)
            for index in sorted(index for index in fired if index < len(self.rules)):
                rule = self.rules[index]
                for begin, end in reading.matches(rule, fired[index], applicable):
                    span = view.origin(begin, end)
                    if applicable(rule, span.start):
                        found.append(Hit(rule, span.start, span.end, view.name))
        return fired, found

    def scan(self, segments: Sequence[Segment]) -> tuple[Finding, ...]:
        """Everything found in `segments`, each rule only in the roles it is for.

        Raises:
            Exception: whatever the engine raised; then nothing is known about the segments.
        """
        return tuple(finding for _, finding in self.locate(segments))

    def locate(self, segments: Sequence[Segment], *, arguments: bool = True) -> list[tuple[int, Finding]]:
        """As `scan`, each finding with the index of its segment: two segments may have the same pointer."""
        starts: list[int] = []
        length = 0
        for segment in segments:
            starts.append(length)
            length += len(segment.text) + 1

        def applicable(rule: Rule, offset: int) -> bool:
            return rule.roles is None or segments[bisect_right(starts, offset) - 1].role in rule.roles

        located: list[tuple[int, Finding]] = []
        for hit in self.hits(join([segment.text for segment in segments]), applicable, arguments=arguments):
            index = bisect_right(starts, hit.start) - 1
            located.append((index, _finding(hit, segments[index], starts[index])))
        return located


def _gate(rule: Rule) -> Gate:
    return Gate(rule.loose, rule.caseless, bounded=rule.pattern, width=rule.width)


def _within(run: Span, _start: int, _end: int) -> Span:
    """The origin of whatever is found in an encoded run: all of the run."""
    return run


def _widest(found: list[Hit]) -> list[Hit]:
    """`found` in order of place, without what stands inside something else of the same kind."""
    found.sort(key=lambda hit: (hit.start, -hit.end))
    reached: dict[str, int] = {}
    kept: list[Hit] = []
    for hit in found:
        if hit.end > reached.get(hit.rule.kind, -1):
            reached[hit.rule.kind] = hit.end
            kept.append(hit)
    return kept


def _finding(hit: Hit, segment: Segment, begin: int) -> Finding:
    return Finding(
        kind=hit.rule.kind,
        rule=hit.rule.id,
        pointer=segment.pointer,
        start=hit.start - begin,
        end=hit.end - begin,
        role=segment.role.value,
        view=hit.view,
    )


def open_detector(choice: Choice = "auto", cache: Path | None = None) -> Detector:
    """A detector with every family there is. `cache` is a directory that keeps compiled patterns."""
    return Detector(all_families(), choice, cache)
