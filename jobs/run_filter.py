"""What a query over runs means: its terms, and which runs they match.

Pure. `webui/query.py` reads a text into a `RunFilter`; `matches` decides for a run at hand (one of
the feed, one that a schedule names), and the stores answer the same filter from their rows: a
conformance test holds both to `matches`.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Iterable, Mapping, Sequence

import msgspec

from .result_terms import ResultTerm
from .result_terms import matches as has_result
from .run import Run
from .states import State

# A name, and the values of which the run's must be one; None: it has an arg of that name.
ArgTerm = tuple[str, tuple[str, ...] | None]
# From, and before; None: open.
Span = tuple[int | None, int | None]

_WORDS = re.compile(r"[^\W_]+")


class RunFilter(msgspec.Struct, frozen=True, kw_only=True):
    """All terms must hold. `without_` terms are negated ones. None: no such term.

    `words` are prefixes of words of the job id, in any order; of a group in `without_words` not all
    may be there. `job` is a whole id, a folder or words. A group of `labels` wants one of its
    labels; a set of `states_or_held` one of its states, or that the run is held. `since_us` ≤ the
    schedule time < `until_us`.
    """

    words: tuple[str, ...] = ()
    without_words: tuple[tuple[str, ...], ...] = ()
    job: str | None = None
    states: frozenset[State] | None = None
    states_or_held: tuple[frozenset[State], ...] = ()
    held: bool | None = None
    labels: tuple[tuple[str, ...], ...] = ()
    without_labels: tuple[str, ...] = ()
    args: tuple[ArgTerm, ...] = ()
    without_args: tuple[ArgTerm, ...] = ()
    owners: frozenset[str] | None = None
    without_owners: frozenset[str] = frozenset()
    agents: frozenset[str] | None = None
    without_agents: frozenset[str] = frozenset()
    run_ids: frozenset[str] | None = None
    without_run_ids: frozenset[str] = frozenset()
    results: tuple[ResultTerm, ...] = ()
    without_results: tuple[ResultTerm, ...] = ()
    backfills: frozenset[int] | None = None
    without_backfills: frozenset[int] = frozenset()
    ad_hoc: bool | None = None
    since_us: int | None = None
    until_us: int | None = None
    without_spans: tuple[Span, ...] = ()

    def matches(self, run: Run, states: Iterable[State] | None = None) -> bool:
        """Return whether the run matches; `states`: in any of these instead of its own state."""
        return (
            self._matches_state(run, (run.state,) if states is None else tuple(states))
            and self.matches_job(run.job_id)
            and (self.run_ids is None or run.run_id in self.run_ids)
            and run.run_id not in self.without_run_ids
            and (self.backfills is None or run.backfill in self.backfills)
            and run.backfill not in self.without_backfills
            and (self.ad_hoc is None or run.ad_hoc is self.ad_hoc)
            and in_span(run.schedule_us, (self.since_us, self.until_us))
            and not any(in_span(run.schedule_us, span) for span in self.without_spans)
            and (self.agents is None or run.agent_id in self.agents)
            and run.agent_id not in self.without_agents
            and self.matches_labels(run.labels)
            and self.matches_owner(run.owner)
            and all(has_result(run.results, term) for term in self.results)
            and not any(has_result(run.results, term) for term in self.without_results)
            and all(has_arg(run.args, *term) for term in self.args)
            and not any(has_arg(run.args, *term) for term in self.without_args)
        )

    def matches_job(self, job_id: str) -> bool:
        """Return whether the terms about the job hold for this id."""
        if self.job is not None and not names_job(self.job, job_id):
            return False
        if not self.words and not self.without_words:
            return True
        have = _words_of_job(job_id)
        return _has_words(have, self.words) and not any(
            _has_words(have, group) for group in self.without_words
        )

    def matches_labels(self, labels: Sequence[str]) -> bool:
        """Return whether the terms about labels hold for these."""
        return all(not set(group).isdisjoint(labels) for group in self.labels) and set(
            self.without_labels
        ).isdisjoint(labels)

    def matches_owner(self, owner: str) -> bool:
        """Return whether the terms about owners hold for this one."""
        return (self.owners is None or owner in self.owners) and owner not in self.without_owners

    def _matches_state(self, run: Run, states: tuple[State, ...]) -> bool:
        return (
            (self.states is None or not self.states.isdisjoint(states))
            and (self.held is None or run.held is self.held)
            and (run.held or not any(wanted.isdisjoint(states) for wanted in self.states_or_held))
        )

    @property
    def about_jobs(self) -> bool:
        """Whether there is any term about the job."""
        return self.job is not None or bool(self.words or self.without_words)


def words_of(text: str) -> list[str]:
    """Return the alphanumeric words of a text, in lower case."""
    return [word.lower() for word in _WORDS.findall(text)]


@functools.lru_cache(maxsize=16_384)
def _words_of_job(job_id: str) -> tuple[str, ...]:
    """Return the words of a job id; the same ids are asked for by every query."""
    return tuple(words_of(job_id))


def names_job(text: str, job_id: str) -> bool:
    """Return whether `text` names the job: its id, a folder above it, or prefixes of its words."""
    if job_id == text or job_id.startswith(text.rstrip("/") + "/"):
        return True
    wanted = words_of(text)
    return bool(wanted) and _has_words(_words_of_job(job_id), wanted)


def in_span(at_us: int, span: Span) -> bool:
    """Return whether an instant is in a span."""
    since_us, until_us = span
    return (since_us is None or at_us >= since_us) and (until_us is None or at_us < until_us)


def has_arg(args: Mapping[str, str], name: str, values: tuple[str, ...] | None) -> bool:
    """Return whether a run's args have that arg, with one of these values if any are given."""
    return name in args and (values is None or args[name] in values)


def _has_words(have: Sequence[str], wanted: Iterable[str]) -> bool:
    return all(any(one.startswith(word) for one in have) for word in wanted)
