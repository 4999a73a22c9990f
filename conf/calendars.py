"""The folder of calendars: every file in it worked out to days, every mistake with its place.

Read with the job folder, by the binder and by `check`. A file `NAME.cal` lists days, `NAME.yaml` is
a rule; both may name other calendars of the folder. Some come with the package, by name.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from datetime import date
from pathlib import Path
from typing import Any

import msgspec

from ..jobs import registry
from ..jobs.calendar_days import CalendarDays, calendars_by_name, days_of, pack_days
from ..jobs.calendar_rules import ORIGIN, Days, Holidays, read_rule
from ..jobs.calendars import (
    BadCalendarFile,
    Calendar,
    FileCalendar,
    NoSuchCalendar,
    parse_cal,
    parse_weekdays,
)
from ..jobs.errors import UserError
from ..jobs.public_holidays import holiday_dates, holidays_source
from ..jobs.reading import At, KeyPath, Told
from .folder import FileProblem
from .folder_files import one_line, reason
from .yaml_reader import MOST_BYTES, YamlError, read_yaml

ENVIRONMENT = "ORA_CALENDARS"
DEFAULT_NAME = "calendars"
# Calendars travel between processes as a whole.
MOST_CALENDARS = 200
# What the package brings, under the names that Apsis's users know.
BUILT_IN: dict[str, Any] = {
    "usa-federal-holidays": {"holidays": {"country": "US"}},
    "usa-federal-businessdays": {"weekdays": "Mon-Fri", "except": "usa-federal-holidays"},
}


class LoadedCalendars(msgspec.Struct, frozen=True, kw_only=True):
    """Calendars, sorted by name, and the mistakes found in their files."""

    days: list[CalendarDays]
    problems: list[FileProblem]

    @property
    def by_name(self) -> Mapping[str, Calendar]:
        """The calendars to compute with."""
        return calendars_by_name(self.days)


NO_CALENDARS = LoadedCalendars(days=[], problems=[])


def calendars_folder(
    job_dir: str | os.PathLike[str],
    setting: str | os.PathLike[str] | None = None,
    environment: Mapping[str, str] = os.environ,
) -> Path | None:
    """Return the folder of calendars: that of the settings, else that of the environment, else
    `calendars` beside the job folder if there is one; None when there is none."""
    named = setting if setting is not None else environment.get(ENVIRONMENT)
    place = calendars_place(job_dir, setting, environment)
    return place if named or place.is_dir() else None


def calendars_place(
    job_dir: str | os.PathLike[str],
    setting: str | os.PathLike[str] | None = None,
    environment: Mapping[str, str] = os.environ,
) -> Path:
    """Return where the folder of calendars is, or would be if there were one."""
    named = setting if setting is not None else environment.get(ENVIRONMENT)
    return Path(named) if named else Path(os.path.abspath(job_dir)).parent / DEFAULT_NAME


def load_calendars(
    folder: str | os.PathLike[str] | None, wanted: Iterable[str] = ()
) -> LoadedCalendars:
    """Work out all calendars of a folder.

    Args:
        folder: it; None: there is none.
        wanted: names that jobs use; of what comes with the package only these are worked out.
    """
    loader = _Loader(None if folder is None else os.fspath(folder))
    for name in sorted({*loader.files, *(BUILT_IN.keys() & set(wanted))}):
        loader.work_out(name)
    found = [loader.found[name] for name in sorted(loader.found)]
    loader.problems.sort(key=lambda problem: (problem.path, problem.line, problem.column))
    return LoadedCalendars(days=found, problems=loader.problems)


class _Loader:
    """One load: what was worked out so far."""

    def __init__(self, folder: str | None) -> None:
        self._folder = folder
        self.files: dict[str, str] = {}
        # Those of extensions are worked out already.
        self.found = {days.name: days for days in registry.calendars()}
        self.problems: list[FileProblem] = []
        self._begun: list[str] = []
        self._bad: set[str] = set()
        self._uses_holidays = False
        if folder is not None:
            self._look(folder)

    def _look(self, folder: str) -> None:
        """Find the files, and refuse names that could not be used."""
        try:
            names = sorted(os.listdir(folder))
        except OSError as error:
            self._say(folder, f"folder of calendars cannot be read: {reason(error)}")
            return
        for file in names:
            name, suffix = os.path.splitext(file)
            if suffix not in (".cal", ".yaml") or file.startswith("."):
                continue
            path = os.path.join(folder, file)
            if name in ("all", "none", "all days", "no days") or parse_weekdays(name) is not None:
                self._say(path, f"calendar {name}: the name has a meaning of its own")
            elif name in self.found:
                self._say(path, f"calendar {name}: comes from the settings' extensions too")
            elif name in self.files:
                self._say(path, f"calendar {name}: comes twice: expected .cal or .yaml, not both")
            elif len(self.files) == MOST_CALENDARS:
                self._say(path, f"expected at most {MOST_CALENDARS} calendars")
                return
            else:
                self.files[name] = path

    def work_out(self, name: str) -> None:
        """Work out a calendar, once; what is wrong in it goes to the problems."""
        if name not in self.found and name not in self._bad:
            self._begun.append(name)
            self._work_out(name)
            self._begun.pop()

    def _named(self, name: str) -> Days:
        """Return a calendar that another one names.

        Raises:
            UserError: there is none, it has mistakes, or it is made of itself.
        """
        if name not in self.files and name not in BUILT_IN and name not in self.found:
            raise NoSuchCalendar(name)
        if name in self._begun:
            circle = " → ".join([*self._begun[self._begun.index(name) :], name])
            raise UserError(f"calendar {name} is made of itself: {circle}")
        self.work_out(name)
        days = self.found.get(name)
        if days is None:
            raise UserError(f"calendar {name} has mistakes")
        bits, ahead = int.from_bytes(days.bits, "little"), days.start - ORIGIN
        return Days(
            max(days.start, ORIGIN), days.stop, bits << ahead if ahead > 0 else bits >> -ahead
        )

    def _work_out(self, name: str) -> None:
        path = self.files.get(name)
        count = len(self.problems)
        outside, self._uses_holidays = self._uses_holidays, False
        try:
            if path is None:
                self._rule(name, BUILT_IN[name], None, f"built-in {name}")
            elif path.endswith(".cal"):
                self._listed(name, path)
            else:
                document = read_yaml(_read(path), self._shown(path))
                self._rule(name, document.value, document.position, os.path.basename(path), path)
        except OSError as error:
            self._say(path or name, f"cannot be read: {reason(error)}")
        except YamlError as error:
            self._say(path or name, error.sentence, error.line, error.column)
        except UserError as error:
            self._say(path or name, str(error))
        self._uses_holidays |= outside
        if len(self.problems) > count or name not in self.found:
            self.found.pop(name, None)
            self._bad.add(name)

    def _listed(self, name: str, path: str) -> None:
        try:
            calendar: FileCalendar = parse_cal(name, _read(path).decode("utf-8-sig"))
        except UnicodeDecodeError:
            raise UserError("is not UTF-8: expected a text file in UTF-8") from None
        except BadCalendarFile as error:
            for line, column, sentence in error.problems:
                self._say(path, sentence, line, column)
            return
        self.found[name] = days_of(calendar, os.path.basename(path))

    def _rule(
        self,
        name: str,
        value: Any,
        position: Any,
        source: str,
        path: str = "",
    ) -> None:
        problems: list[tuple[KeyPath, str]] = []
        days = None
        try:
            days = read_rule(value, At((), problems), self._named, self._holidays)
        except Told:
            pass
        except UserError as error:
            problems.append(((), str(error)))
        for key_path, sentence in problems:
            line, column = position(key_path) if position is not None else (1, 1)
            self._say(path or name, sentence, line, column)
        if days is None or problems:
            return
        if days.stop <= days.start:
            self._say(path or name, "there is no day that all calendars in it know")
            return
        if self._uses_holidays:
            source = f"{source}, {holidays_source()}"
        bits = days.within() >> (days.start - ORIGIN)
        self.found[name] = pack_days(name, days.start, days.stop, bits, source)

    def _holidays(self, asked: Holidays, years: range) -> list[date]:
        self._uses_holidays = True
        return holiday_dates(asked, years)

    def _say(self, path: str, sentence: str, line: int = 1, column: int = 1) -> None:
        problem = FileProblem(
            path=self._shown(path), line=line, column=column, sentence=one_line(sentence)
        )
        self.problems.append(problem)

    def _shown(self, path: str) -> str:
        """Return a file's path as seen from beside the folder."""
        if self._folder is None or not path.startswith(self._folder) or path == self._folder:
            return path
        return os.path.join(os.path.basename(os.path.abspath(self._folder)), os.path.basename(path))


def _read(path: str) -> bytes:
    # Without O_NONBLOCK a pipe in the folder would hold the server up for ever.
    number = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    with open(number, "rb") as file:
        raw = file.read(MOST_BYTES + 1)
    if len(raw) > MOST_BYTES:
        raise UserError(f"is too large: expected at most {MOST_BYTES} bytes")
    return raw
