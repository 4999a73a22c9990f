"""Holidays of countries and markets, as the `holidays` package knows them.

The package is large and is loaded only when a calendar names holidays. What it says changes with
its releases; a calendar's source names the version it was made with.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import date
from importlib.metadata import version

from .calendar_rules import Holidays
from .errors import UserError
from .near import near


def holiday_dates(asked: Holidays, years: range) -> list[date]:
    """Return the dates of holidays in some years, in order.

    Raises:
        UserError: nobody knows such a country, part of it, or market.
    """
    import holidays

    try:
        if asked.market is not None:
            return sorted(holidays.financial_holidays(asked.market, years=years))
        country = asked.country or ""
        found = holidays.country_holidays(
            country, subdiv=asked.subdiv, years=years, observed=asked.observed
        )
    except NotImplementedError:
        raise UserError(_unknown(asked)) from None
    return sorted(found)


def holidays_source() -> str:
    """Return what the dates are from."""
    return f"holidays {version('holidays')}"


def _unknown(asked: Holidays) -> str:
    import holidays

    if asked.market is not None:
        return _near("market", asked.market, holidays.list_supported_financial())
    country = asked.country or ""
    countries = holidays.list_supported_countries()
    if country not in countries or asked.subdiv is None:
        return _near("country", country, countries)
    return _near(f"subdiv of {country}", asked.subdiv, countries[country])


def _near(what: str, name: str, known: Iterable[str]) -> str:
    names = sorted(set(known))
    meant = near(name.upper(), names, 3) or names[:12]
    more = ", …" if len(meant) == 12 else ""
    return f"unknown {what}: {name}: expected one like {', '.join(meant)}{more}"
