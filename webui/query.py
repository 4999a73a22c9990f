"""The query over runs that lists and the stream share: its text, its terms, what they match.

Pure. `RunFilter` is parsed once per request or subscription; `matches` decides for a run of the
feed, `pushed` says which of its terms the store can answer by itself.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime

import msgspec

from ..jobs.errors import UserError
from ..jobs.run import Run
from ..jobs.states import State

# A term's list of values and a query's terms: more is nobody's query.
MAX_TERMS = 64
_WORDS = re.compile(r"[^\W_]+")
_RELATIVE = re.compile(r"([+-])(\d+(?:\.\d+)?)\s*([smhd])")
_UNIT_S = {"s": 1, "m": 60, "h": 3600, "d": 86400}


class BadQuery(UserError):
    """A query cannot be understood."""


class RunFilter(msgspec.Struct, frozen=True, kw_only=True):
    """All terms must hold. `without_` terms are negated ones.

    `words` are prefixes of words of the job id, in any order; `job` is a whole id, a folder or
    words. `args` maps a name to the values of which one must be the run's, None: it has that arg.
    """

    words: tuple[str, ...] = ()
    without_words: tuple[str, ...] = ()
    job: str | None = None
    states: frozenset[State] | None = None
    held: bool | None = None
    labels: tuple[tuple[str, ...], ...] = ()
    without_labels: tuple[str, ...] = ()
    args: tuple[tuple[str, tuple[str, ...] | None], ...] = ()
    without_args: tuple[tuple[str, tuple[str, ...] | None], ...] = ()
    agents: tuple[str, ...] = ()
    run_ids: tuple[str, ...] = ()
    ad_hoc: bool | None = None
    since_us: int | None = None
    until_us: int | None = None

    def matches(self, run: Run, states: Iterable[State] | None = None) -> bool:
        """Return whether the run matches; `states`: in any of these instead of its own state."""
        if self.states is not None:
            found = (run.state,) if states is None else states
            if self.states.isdisjoint(found):
                return False
        if self.held is not None and run.held is not self.held:
            return False
        return (
            self.matches_job(run.job_id)
            and (not self.run_ids or run.run_id in self.run_ids)
            and (self.ad_hoc is None or run.ad_hoc is self.ad_hoc)
            and (self.since_us is None or run.schedule_us >= self.since_us)
            and (self.until_us is None or run.schedule_us < self.until_us)
            and (not self.agents or run.agent_id in self.agents)
            and all(not set(group).isdisjoint(run.labels) for group in self.labels)
            and set(self.without_labels).isdisjoint(run.labels)
            and all(_has_arg(run.args, name, values) for name, values in self.args)
            and not any(_has_arg(run.args, name, values) for name, values in self.without_args)
        )

    def matches_job(self, job_id: str) -> bool:
        """Return whether the terms about the job hold for this id."""
        if self.job is not None and not names_job(self.job, job_id):
            return False
        if not self.words and not self.without_words:
            return True
        have = words_of(job_id)
        return all(_any_begins(have, word) for word in self.words) and not any(
            _any_begins(have, word) for word in self.without_words
        )

    @property
    def about_jobs(self) -> bool:
        """Whether there is any term about the job."""
        return self.job is not None or bool(self.words or self.without_words)

    @property
    def beyond_store(self) -> bool:
        """Whether there are terms, besides those about jobs, that the store cannot answer."""
        return bool(
            self.without_labels
            or self.without_args
            or self.agents
            or self.held is not None
            or self.ad_hoc is not None
            or len(self.labels) > 1
            or any(len(group) > 1 for group in self.labels)
            or any(values is None or len(values) > 1 for _, values in self.args)
        )


def words_of(text: str) -> list[str]:
    """Return the alphanumeric words of a text, in lower case."""
    return [word.lower() for word in _WORDS.findall(text)]


def names_job(text: str, job_id: str) -> bool:
    """Return whether `text` names the job: its id, a folder above it, or prefixes of its words."""
    if job_id == text or job_id.startswith(text.rstrip("/") + "/"):
        return True
    have = words_of(job_id)
    wanted = words_of(text)
    return bool(wanted) and all(_any_begins(have, word) for word in wanted)


def parse_filter(params: Mapping[str, list[str]], now_us: int) -> RunFilter:
    """Build the filter of a request's or subscription's parameters.

    Args:
        params: `state`, `job`, `label`, `arg`, `q`, `since`, `until`; each a list of texts.

    Raises:
        BadQuery: a term is not understood.
    """
    terms: list[str] = []
    for value in params.get("q", []):
        terms += _split(value)
    if len(terms) > MAX_TERMS:
        raise BadQuery(f"query: {len(terms)} terms: at most {MAX_TERMS} are accepted")
    building = _Building(now_us)
    for name in ("state", "label", "agent", "id", "since", "until"):
        for value in params.get(name, []):
            if value:
                building.term(name, value, negated=False)
    for value in params.get("arg", []):
        name, _, wanted = value.partition("=")
        building.arg(name, wanted, negated=False)
    for term in terms:
        building.free(term)
    jobs = [value for value in params.get("job", []) if value]
    if len(jobs) > 1:
        raise BadQuery("job: given more than once: expected one")
    return building.built(jobs[0] if jobs else None)


def parse_states(text: str) -> frozenset[State]:
    """Return the states of a comma list; `error` does not include `lost` here.

    Raises:
        BadQuery: one is not a state.
    """
    found = set()
    for name in filter(None, (part.strip() for part in text.split(","))):
        try:
            found.add(State(name))
        except ValueError:
            known = ", ".join(State)
            raise BadQuery(f"not a state: {name!r}: expected one of {known}") from None
    return frozenset(found)


def parse_instant(text: str, now_us: int) -> int:
    """Return the microseconds UTC of `now`, `-6h`, `+30m`, a date, or an ISO time with zone.

    Raises:
        BadQuery: it is none of these.
    """
    if text == "now":
        return now_us
    if found := _RELATIVE.fullmatch(text):
        sign, number, unit = found.groups()
        return now_us + int(float(sign + number) * _UNIT_S[unit] * 1e6)
    try:
        moment = datetime.fromisoformat(text.replace(" ", "+") if "T" in text else text)
        if moment.tzinfo is None:
            if "T" in text:
                raise ValueError
            moment = moment.replace(tzinfo=UTC)
        return round(moment.timestamp() * 1_000_000)
    except (ValueError, OverflowError):
        sentence = f"not a time: {text!r}: expected now, -6h, 2026-01-02 or 2026-01-02T03:04:05Z"
        raise BadQuery(sentence) from None


class _Building:
    """Collects the terms of one filter."""

    def __init__(self, now_us: int) -> None:
        self._now_us = now_us
        self._words: tuple[list[str], list[str]] = ([], [])
        self._states: frozenset[State] | None = None
        self._labels: list[tuple[str, ...]] = []
        self._without_labels: list[str] = []
        self._args: tuple[list[tuple[str, tuple[str, ...] | None]], ...] = ([], [])
        self._agents: list[str] = []
        self._ids: list[str] = []
        self._flags: dict[str, bool] = {}
        self._since: int | None = None
        self._until: int | None = None

    def free(self, term: str) -> None:
        """Add one term of the text: `word`, `key:value`, `name=value`, each maybe after `!`."""
        negated = term.startswith("!")
        text = term[1:] if negated else term
        key, colon, value = text.partition(":")
        if colon and key.isidentifier() and "=" not in key:
            self.term(key, value, negated=negated)
        elif "=" in text:
            name, _, wanted = text.partition("=")
            self.arg(name, wanted, negated=negated)
        elif text:
            self._words[negated].extend(words_of(text))

    def term(self, key: str, value: str, *, negated: bool) -> None:
        """Add the term of a key."""
        values = tuple(filter(None, (part.strip() for part in value.split(","))))
        match key:
            case "state":
                states = set(parse_states(",".join(v for v in values if v != "held")))
                if "held" in values:
                    self._flags["held"] = not negated
                if states or "held" not in values:
                    found = frozenset(State) - states if negated else frozenset(states)
                    self._states = found if self._states is None else self._states & found
            case "label" if negated:
                self._without_labels.extend(values)
            case "label":
                self._labels.append(values)
            case "agent" if not negated:
                self._agents.extend(values)
            case "id" | "run" if not negated:
                self._ids.extend(values)
            case "job":
                self._words[negated].extend(words_of(value))
            case "adhoc" | "held":
                self._flags[key] = (value not in ("no", "false", "0")) is not negated
            case "since" if not negated:
                self._since = parse_instant(value, self._now_us)
            case "until" if not negated:
                self._until = parse_instant(value, self._now_us)
            case _:
                sign = "!" if negated else ""
                known = "state, label, agent, id, job, adhoc, held, since, until, or arg=value"
                raise BadQuery(f"query: {sign}{key}: not a term: expected {known}")

    def arg(self, name: str, wanted: str, *, negated: bool) -> None:
        """Add a term about an arg; no value: it has the arg."""
        if not name:
            raise BadQuery(f"query: ={wanted}: no name: expected name=value")
        values = tuple(wanted.split(",")) if wanted else None
        self._args[negated].append((name, values))

    def built(self, job: str | None) -> RunFilter:
        """Return the filter."""
        return RunFilter(
            words=tuple(self._words[False]),
            without_words=tuple(self._words[True]),
            job=job,
            states=self._states,
            held=self._flags.get("held"),
            labels=tuple(self._labels),
            without_labels=tuple(self._without_labels),
            args=tuple(self._args[False]),
            without_args=tuple(self._args[True]),
            agents=tuple(self._agents),
            run_ids=tuple(self._ids),
            ad_hoc=self._flags.get("adhoc"),
            since_us=self._since,
            until_us=self._until,
        )


def _split(text: str) -> list[str]:
    """Cut a query's text at blanks, quoted parts left whole."""
    try:
        return shlex.split(text, posix=True)
    except ValueError:
        return text.split()


def _any_begins(have: list[str], word: str) -> bool:
    return any(one.startswith(word) for one in have)


def _has_arg(args: Mapping[str, str], name: str, values: tuple[str, ...] | None) -> bool:
    return name in args and (values is None or args[name] in values)
