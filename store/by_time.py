"""A search in the order of time: any stretch of the list, and how many runs there are when.

A list by time has no cursor but a place: the console shows its hundred thousand rows as one long
page and asks for those that are looked at. Two ways lead to a stretch: down the index of times,
leaving out what does not match (quick where most does), or over all that matches, sorted (quick
where little does). The one that promises more is tried first, in a hurry. Called by the SQLite
reader only, inside its transaction.
"""

from __future__ import annotations

from collections.abc import Iterator

from ..jobs.run import Run
from .finding import MANY_JOBS
from .searching import Search

BY_INDEX, SORTED = "runs INDEXED BY runs_time", ""


class SearchByTime(Search):
    """One filter's search, latest schedule time first; of the same time the newest run first."""

    def ways(self) -> tuple[str, str]:
        """Return the two ways to a stretch, the one to be tried first in front."""
        wanted = self._wanted
        few_jobs = self.job_ids is not None and len(self.job_ids) <= MANY_JOBS
        named = (wanted.run_ids, wanted.agents, wanted.backfills)
        if few_jobs or any(term is not None for term in named) or wanted.results:
            return SORTED, BY_INDEX
        return BY_INDEX, SORTED

    def stretch(self, offset: int, limit: int, way: str, *, rising: bool = False) -> list[int]:
        """Return the numbers of at most `limit` runs, from the place `offset` on; `rising`: of the
        list that begins with the earliest."""
        if self.is_empty:
            return []
        source, terms, values = self.matching()
        if way == BY_INDEX:
            # An agent's or a backfill's are looked up from the run, not led by their index.
            for table in ("run_agents", "backfill_runs", "results"):
                source = source.replace(f"{table} CROSS JOIN runs", f"{way} CROSS JOIN {table}")
            source = way if source == "runs" else source
        for term, bound in (
            ("schedule_us >= ?", self._wanted.since_us),
            ("schedule_us < ?", self._wanted.until_us),
        ):
            if bound is not None:
                terms.append(term)
                values.append(bound)
        text = f"SELECT runs.n FROM {source} WHERE {' AND '.join(terms) or '1'}"
        down = "" if rising else "DESC"
        text += f" ORDER BY schedule_us {down}, runs.n {down} LIMIT ? OFFSET ?"
        return [row[0] for row in self._connection.execute(text, [*values, limit, offset])]

    def extent(self) -> tuple[int, int] | None:
        """Return the earliest and the latest schedule time of what matches, None of nothing."""
        if self.is_empty:
            return None
        source, terms, values = self.matching()
        where = f"FROM {source} WHERE {' AND '.join(terms) or '1'}"
        # Each by itself, so that the index of times answers where there are no terms.
        least = self._connection.execute(f"SELECT min(schedule_us) {where}", values).fetchone()[0]
        most = self._connection.execute(f"SELECT max(schedule_us) {where}", values).fetchone()[0]
        return None if least is None else (least, most)

    def per_bin(self, from_us: int, step_us: int) -> Iterator[tuple[int, int, int]]:
        """Give (bin, state code, how many runs); bin 0 begins at `from_us`."""
        if self.is_empty:
            return iter(())
        source, terms, values = self.matching()
        text = f"SELECT (schedule_us - ?) / ?, state, count(*) FROM {source}"
        text += f" WHERE {' AND '.join(terms) or '1'} GROUP BY 1, 2"
        return self._connection.execute(text, [from_us, step_us, *values])


def time_and_number(run: Run) -> tuple[int, int]:
    """Return what the list is in the order of."""
    return run.schedule_us, run.number
