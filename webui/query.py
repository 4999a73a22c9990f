"""Reads the text of a query over runs, the same in lists, streams, URLs and the command line.

Pure. What the terms mean is said in `jobs/run_filter.py`, for people in docs/queries.md.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime

from ..jobs.errors import UserError
from ..jobs.result_terms import ResultTerm, split_term
from ..jobs.run import run_number
from ..jobs.run_filter import ArgTerm, RunFilter, Span, words_of
from ..jobs.states import State
from ..jobs.times import EPOCH, FIRST_US, LAST_US, MICROSECOND
from ..messages.backfills import backfill_number

# A term's list of values and a query's terms: more is nobody's query.
MAX_TERMS = 64
DAY_US = 86_400 * 1_000_000
KEYS = (
    "state, label, owner, agent, id, job, result, backfill, adhoc, held, time, since, until, or"
    " arg=value"
)
_RELATIVE = re.compile(r"([+-])(\d+(?:\.\d+)?)\s*([smhd])")
_DATE = re.compile(r"\d{4}-\d{2}-\d{2}")
_KEY = re.compile(r"[A-Za-z_]\w*")
_UNIT_S = {"s": 1, "m": 60, "h": 3600, "d": 86400}
_NO = ("no", "false", "0")
# Before the quote that begins a quoted part; elsewhere a quote is an apostrophe.
_BEFORE_QUOTE = "!:=,("


class BadQuery(UserError):
    """A query cannot be understood."""


class Term:
    """One term as it was written: its characters, and which of them were quoted."""

    def __init__(self, marks: list[tuple[str, bool]]) -> None:
        self._marks = marks

    @property
    def text(self) -> str:
        """The characters."""
        return "".join(char for char, _ in self._marks)

    def without_sign(self) -> Term | None:
        """Return what is behind a leading `!`, None when there is none."""
        return Term(self._marks[1:]) if self._marks[:1] == [("!", False)] else None

    def cut(self, mark: str) -> tuple[str, Term] | None:
        """Return what is before and behind the first such mark that is not quoted."""
        for index, found in enumerate(self._marks):
            if found == (mark, False):
                return Term(self._marks[:index]).text, Term(self._marks[index + 1 :])
        return None

    def values(self) -> tuple[str, ...]:
        """Return the parts between commas that are not quoted, empty ones left out."""
        found, rest = [], self
        while (parts := rest.cut(",")) is not None:
            found.append(parts[0])
            rest = parts[1]
        return tuple(filter(None, [*found, rest.text]))


def plain(text: str) -> Term:
    """Return a text as a term in which nothing is quoted."""
    return Term([(char, False) for char in text])


def split_terms(text: str) -> list[Term]:
    """Cut a query's text at blanks outside of quotes.

    A part in double or single quotes is taken as it is, a backslash in it takes the next character
    as it is; a quote that is not closed reaches to the end.
    """
    terms: list[list[tuple[str, bool]]] = []
    marks: list[tuple[str, bool]] | None = None
    quote, escaped = "", False
    for char in text:
        if quote:
            assert marks is not None
            if not escaped and char in (quote, "\\"):
                quote, escaped = ("", False) if char == quote else (quote, True)
            else:
                marks.append((char, True))
                escaped = False
        elif char.isspace():
            marks = None
        else:
            if marks is None:
                marks = []
                terms.append(marks)
            if char in "\"'" and (not marks or marks[-1] in [(c, False) for c in _BEFORE_QUOTE]):
                quote = char
            else:
                marks.append((char, False))
    return [Term(marks) for marks in terms]


def parse_filter(params: Mapping[str, list[str]], now_us: int) -> RunFilter:
    """Build the filter of a request's or subscription's parameters.

    Args:
        params: `state`, `job`, `label`, `owner`, `arg`, `q`, `since`, `until`; each a list of
            texts.

    Raises:
        BadQuery: a term is not understood.
    """
    terms: list[Term] = []
    for value in params.get("q", []):
        terms += split_terms(value)
    if len(terms) > MAX_TERMS:
        raise BadQuery(f"query: {len(terms)} terms: at most {MAX_TERMS} are accepted")
    building = _Building(now_us)
    for name in ("state", "label", "owner", "agent", "id", "since", "until"):
        for value in params.get(name, []):
            if value:
                building.term(name, plain(value), negated=False)
    for value in params.get("arg", []):
        name, _, wanted = value.partition("=")
        building.arg(name, plain(wanted), negated=False)
    for term in terms:
        building.free(term)
    jobs = [value for value in params.get("job", []) if value]
    if len(jobs) > 1:
        raise BadQuery("job: given more than once: expected one")
    return building.built(jobs[0] if jobs else None)


def parse_states(names: Iterable[str]) -> frozenset[State]:
    """Return the states of these names; `error` does not include `lost` here.

    Raises:
        BadQuery: one is not a state.
    """
    found = set()
    for name in names:
        try:
            found.add(State(name))
        except ValueError:
            known = ", ".join((*State, "held"))
            raise BadQuery(f"not a state: {name!r}: expected one of {known}") from None
    return frozenset(found)


def parse_instant(text: str, now_us: int) -> int:
    """Return the microseconds UTC of `now`, `-6h`, `+30m`, a date, or an ISO time with zone.

    What lies outside of `FIRST_US` to `LAST_US` is taken for the end that it lies beyond: nothing
    is scheduled there, and calendars and the database could not tell such instants.

    Raises:
        BadQuery: it is none of these.
    """
    if text == "now":
        return now_us
    if found := _RELATIVE.fullmatch(text):
        sign, number, unit = found.groups()
        away_us = float(sign + number) * _UNIT_S[unit] * 1e6
        return _tellable(now_us + int(max(-LAST_US, min(LAST_US, away_us))))
    try:
        moment = datetime.fromisoformat(text.replace(" ", "+") if "T" in text else text)
        if moment.tzinfo is None:
            if ":" in text or "T" in text:
                raise ValueError
            moment = moment.replace(tzinfo=UTC)
        return _tellable((moment - EPOCH) // MICROSECOND)
    except (ValueError, OverflowError):
        sentence = f"not a time: {text!r}: expected now, -6h, 2026-01-02 or 2026-01-02T03:04:05Z"
        raise BadQuery(sentence) from None


def _tellable(at_us: int) -> int:
    return max(FIRST_US, min(LAST_US, at_us))


def parse_span(text: str, now_us: int) -> Span:
    """Return the span of `A..B`, of which one may be left out, or of one whole day (UTC).

    Raises:
        BadQuery: it is neither, or ends before it begins.
    """
    begin, dots, end = text.partition("..")
    if not dots and _DATE.fullmatch(text):
        since_us = parse_instant(text, now_us)
        return since_us, since_us + DAY_US
    if not dots or not (begin or end):
        sentence = f"not a span: {text!r}: expected a day or A..B, such as -7d..now"
        raise BadQuery(f"query: time: {sentence}")
    span = (
        parse_instant(begin, now_us) if begin else None,
        parse_instant(end, now_us) if end else None,
    )
    if span[0] is not None and span[1] is not None and span[1] < span[0]:
        raise BadQuery(f"query: time: {text!r} ends before it begins")
    return span


class _Building:
    """Collects the terms of one filter."""

    def __init__(self, now_us: int) -> None:
        self._now_us = now_us
        self._words: list[str] = []
        self._without_words: list[tuple[str, ...]] = []
        self._states: frozenset[State] | None = None
        self._states_or_held: list[frozenset[State]] = []
        self._flags: dict[str, list[bool]] = {"held": [], "adhoc": []}
        self._labels: list[tuple[str, ...]] = []
        self._without_labels: list[str] = []
        self._args: tuple[list[ArgTerm], list[ArgTerm]] = ([], [])
        self._results: tuple[list[ResultTerm], list[ResultTerm]] = ([], [])
        self._sets: dict[str, frozenset[str]] = {}
        self._without: dict[str, frozenset[str]] = {}
        self._spans: list[Span] = []
        self._without_spans: list[Span] = []

    def free(self, term: Term) -> None:
        """Add one term of the text: `word`, `key:value`, `name=value`, each maybe after `!`."""
        unsigned = term.without_sign()
        negated, term = unsigned is not None, unsigned or term
        keyed, named = term.cut(":"), term.cut("=")
        if keyed is not None and _KEY.fullmatch(keyed[0]):
            self.term(keyed[0], keyed[1], negated=negated)
        elif named is not None:
            self.arg(*named, negated=negated)
        elif words := words_of(term.text):
            self._job(words, negated=negated)

    def term(self, key: str, value: Term, *, negated: bool) -> None:
        """Add the term of a key."""
        values = tuple(filter(None, (part.strip() for part in value.values())))
        match key:
            case "state":
                self._state(values, negated=negated)
            case "label" if negated:
                self._without_labels.extend(values)
            case "label":
                self._labels.append(values)
            case "agent" | "owner":
                self._one_of(key, values, negated=negated)
            case "id" | "run":
                self._ids(values, negated=negated)
            case "result":
                self._result(value, negated=negated)
            case "backfill":
                self._backfills(values, negated=negated)
            case "job":
                self._job(words_of(value.text), negated=negated)
            case "adhoc" | "held":
                self._flags[key].append((value.text not in _NO) is not negated)
            case "time":
                span = parse_span(value.text, self._now_us)
                (self._without_spans if negated else self._spans).append(span)
            case "since":
                at_us = parse_instant(value.text, self._now_us)
                self._spans.append((None, at_us) if negated else (at_us, None))
            case "until":
                at_us = parse_instant(value.text, self._now_us)
                self._spans.append((at_us, None) if negated else (None, at_us))
            case _:
                sign = "!" if negated else ""
                raise BadQuery(f"query: {sign}{key}: not a term: expected {KEYS}")

    def arg(self, name: str, wanted: Term, *, negated: bool) -> None:
        """Add a term about an arg; no value: it has the arg."""
        if not name:
            raise BadQuery(f"query: ={wanted.text}: no name: expected name=value")
        self._args[negated].append((name, wanted.values() or None))

    def _job(self, words: list[str], *, negated: bool) -> None:
        if negated and words:
            self._without_words.append(tuple(words))
        elif not negated:
            self._words.extend(words)

    def _state(self, values: tuple[str, ...], *, negated: bool) -> None:
        states = parse_states(value for value in values if value != "held")
        if "held" not in values:
            found = frozenset(State) - states if negated else states
            self._states = found if self._states is None else self._states & found
        elif negated:
            self._flags["held"].append(False)
            kept = frozenset(State) - states
            self._states = kept if self._states is None else self._states & kept
        elif states:
            self._states_or_held.append(states)
        else:
            self._flags["held"].append(True)

    def _ids(self, values: tuple[str, ...], *, negated: bool) -> None:
        for value in values:
            if run_number(value) is None:
                raise BadQuery(f"query: id: {value!r}: expected a run id like r17")
        self._one_of("id", values, negated=negated)

    def _result(self, value: Term, *, negated: bool) -> None:
        try:
            key, sign = split_term(value.text)
        except UserError as error:
            raise BadQuery(f"query: result: {error}") from None
        rest = value.cut("=") if sign == "=" else None
        values = (rest[1].values() or ("",)) if rest else (value.text[len(key + sign) :],)
        self._results[negated].append((key, sign, values if sign else ()))

    def _backfills(self, values: tuple[str, ...], *, negated: bool) -> None:
        for value in values:
            if backfill_number(value) is None:
                raise BadQuery(f"query: backfill: {value!r}: expected an id like b3")
        self._one_of("backfill", values, negated=negated)

    def _one_of(self, key: str, values: tuple[str, ...], *, negated: bool) -> None:
        given = frozenset(values)
        if negated:
            self._without[key] = self._without.get(key, frozenset()) | given
        else:
            self._sets[key] = self._sets.get(key, given) & given

    def _flag(self, key: str) -> tuple[bool | None, bool]:
        """Return what a flag has to be, and whether it has to be both."""
        wanted = set(self._flags[key])
        return (wanted.pop() if len(wanted) == 1 else None), len(wanted) > 1

    def built(self, job: str | None) -> RunFilter:
        """Return the filter."""
        held, never = self._flag("held")
        ad_hoc, nothing = self._flag("adhoc")
        since = [since_us for since_us, _ in self._spans if since_us is not None]
        until = [until_us for _, until_us in self._spans if until_us is not None]
        return RunFilter(
            words=tuple(self._words),
            without_words=tuple(self._without_words),
            job=job,
            states=frozenset() if never or nothing else self._states,
            states_or_held=tuple(self._states_or_held),
            held=held,
            labels=tuple(self._labels),
            without_labels=tuple(self._without_labels),
            args=tuple(self._args[False]),
            without_args=tuple(self._args[True]),
            owners=self._sets.get("owner"),
            without_owners=self._without.get("owner", frozenset()),
            agents=self._sets.get("agent"),
            without_agents=self._without.get("agent", frozenset()),
            run_ids=self._sets.get("id"),
            without_run_ids=self._without.get("id", frozenset()),
            results=tuple(self._results[False]),
            without_results=tuple(self._results[True]),
            backfills=_backfill_numbers(self._sets.get("backfill")),
            without_backfills=_backfill_numbers(self._without.get("backfill")) or frozenset(),
            ad_hoc=ad_hoc,
            since_us=max(since, default=None),
            until_us=min(until, default=None),
            without_spans=tuple(self._without_spans),
        )


def _backfill_numbers(ids: frozenset[str] | None) -> frozenset[int] | None:
    return None if ids is None else frozenset(filter(None, map(backfill_number, ids)))
