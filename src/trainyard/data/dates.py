"""Dates and times of day in the cells of a table: their format, and the numbers that they give."""

import re
from datetime import datetime
from itertools import chain
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from trainyard.data.spec import PERIODS

if TYPE_CHECKING:
    import pandas as pd

ISO = "ISO8601"
SAMPLE = 20  # cells whose formats are tried on a whole column
PARTS = ("year", *PERIODS, "days")
OFFSET = re.compile(r"(:\d\d(?:\.\d+)?)\s*(?:Z|UTC|GMT|[+-]\d\d(?::?\d\d)?)$")
TIME = re.compile(r"(\s*|T)\d{1,2}:\d\d(:\d\d)?(\.\d{1,6})?(?:(\s*)[AaPp][Mm])?$")
YEAR_FIRST = ("%Y-%m-%d", "%Y/%m/%d", "%Y.%m.%d", "%Y%m%d", "%Y-%m", "%Y/%m")
NAMED_MONTH = tuple(
    form.replace("%b", month)
    for month in ("%b", "%B")
    for form in ("%d %b %Y", "%d-%b-%Y", "%d. %b %Y", "%d-%b-%y", "%b %d, %Y", "%b %d %Y", "%b %Y", "%b-%Y", "%b-%y")
)
MONTH_FIRST = tuple(f"%m{sign}%d{sign}{year}" for sign in "/-" for year in ("%Y", "%y"))
DAY_FIRST = tuple(f"%d{sign}%m{sign}{year}" for sign in "./-" for year in ("%Y", "%y"))
DIRECTIVES = {"%Y": r"\d{4}", "%y": r"\d\d", "%m": r"\d\d?", "%d": r"\d\d?", "%b": r"[^\W\d]+", "%B": r"[^\W\d]+"}
DATES = {
    form: re.compile(re.sub("%.", lambda found: DIRECTIVES[found[0]], re.escape(form)))
    for form in (*YEAR_FIRST, *NAMED_MONTH, *MONTH_FIRST, *DAY_FIRST)
}


def read_moments(values: "pd.Series[Any]", texts: "pd.Series[Any]", form: str) -> "pd.Series[Any]":
    """Return points in time, as clocks at the place showed them; NaT where a cell is none.

    Args:
        values: the cells.
        texts: the same as text.
        form: of the column, as `strptime` has it, or `ISO8601`; a cell in another one is read if that is unambiguous.
    """
    from pandas.api import types

    if types.is_datetime64_any_dtype(values):
        return values.dt.tz_localize(None)
    texts = without_offset(texts)
    moments = parse(texts, form)
    for position in np.flatnonzero(moments.isna() & texts.notna()):
        text = texts.iloc[position]
        readings = {datetime.strptime(text, other) for other in date_formats(text, form)}
        if len(readings) == 1:
            moments.iloc[position] = readings.pop()
    return moments


def without_offset(texts: "pd.Series[Any]") -> "pd.Series[Any]":
    """Return times without their distance from UTC."""
    return texts.astype("string").str.replace(OFFSET, r"\1", regex=True).astype(object)


def parse(texts: "pd.Series[Any]", form: str) -> "pd.Series[Any]":
    """Return the points in time of texts in a format, NaT for others."""
    import pandas as pd

    if form == ISO:  # pandas takes 2016 and 20160131 for dates too
        texts = texts.where(texts.astype("string").str.match(r"\d{4}-\d\d").fillna(False).astype(bool), None)
    return pd.to_datetime(texts, format=form, errors="coerce").astype("datetime64[us]")


def date_formats(text: str, like: str = "") -> list[str]:
    """Return the formats of a date, a time of day, or both, without those of another order of day and month.

    Args:
        text: a cell.
        like: a format; where it has an order of day and month, the others must have the same, unless points separate
            them: then the day comes first everywhere.
    """
    time = TIME.search(text)
    head, tail = (text[: time.start()], time_format(time)) if time else (text, "")
    order = day_first(like)
    found = [form for form, pattern in DATES.items() if pattern.fullmatch(head)] if head else [""]
    same = [form + tail for form in found if order is None or "." in form or day_first(form) in (None, order)]
    return [form for form in same if form and has_format(text, form)]


def time_format(found: re.Match[str]) -> str:
    """Return the format of a time of day."""
    gap, seconds, fraction, space = found.groups()
    clock, end = ("%H:%M", "") if space is None else ("%I:%M", f"{space}%p")
    return f"{gap}{clock}{':%S' if seconds else ''}{'.%f' if fraction else ''}{end}"


def has_format(text: str, form: str) -> bool:
    """Return whether a cell can be parsed with a date format."""
    try:
        datetime.strptime(text, form)
    except ValueError:
        return False
    return True


def day_first(form: str) -> bool | None:
    """Whether the day comes before the month; `None` where the order cannot be confused."""
    day, month = form.find("%d"), form.find("%m")
    return None if form.startswith(("%Y", ISO)) or min(day, month) < 0 else day < month


def find_format(values: "pd.Series[Any]", texts: "pd.Series[Any]", dayfirst: bool | None) -> tuple[str, str]:
    """Return the format of a column, nothing if its cells are no dates, and a note on a choice between two formats.

    Args:
        values: the distinct cells that hold something.
        texts: the same as text.
        dayfirst: the choice where day and month could be the other way round; `None` for the month first, except where
            points separate them.
    """
    from pandas.api import types

    if types.infer_dtype(values) in ("datetime64", "datetime", "date"):
        return ISO, ""
    texts = without_offset(texts)
    sample = texts.iloc[:: -(-len(texts) // SAMPLE)]
    iso = [ISO] if parse(sample, ISO).notna().any() else []
    forms = dict.fromkeys([*iso, *chain.from_iterable(map(date_formats, sample))])
    parsed = {form: parse(texts, form) for form in sorted(forms, key=lambda form: day_first(form) is True)}
    counts = {form: int(moments.notna().sum()) for form, moments in parsed.items()}
    best = [form for form, count in counts.items() if count == max(counts.values())]
    if not best:
        return "", ""
    chosen = next((form for form in best if dayfirst is not None and day_first(form) is dayfirst), best[0])
    other = next((form for form in best if day_first(form) is (not day_first(chosen))), None)
    if dayfirst is not None or other is None or day_first(chosen) is None:
        return chosen, ""
    return chosen, two_readings(texts, chosen, parsed[chosen], parsed[other])


def two_readings(texts: "pd.Series[Any]", chosen: str, moments: "pd.Series[Any]", others: "pd.Series[Any]") -> str:
    """Return a note on dates whose day and month could be the other way round."""
    differ = np.flatnonzero(moments.notna() & others.notna() & (moments != others))
    if not len(differ):
        return ""
    text, date, other = (series.iloc[differ[0]] for series in (texts, moments, others))
    order = "day before month" if day_first(chosen) else "month before day"
    choice = str(not day_first(chosen)).lower()
    return f"{text} is read as {order} ({date:%Y-%m-%d}); data.dayfirst={choice} reads it as {other:%Y-%m-%d}"


def varying_parts(moments: "pd.Series[Any]", form: str) -> list[str]:
    """Return the parts of dates that vary; `hour` for times of day, `days` for dates that do not vary."""
    known = moments.dropna()
    if form != ISO and "%Y" not in form and "%y" not in form:
        return ["hour"]
    return [part for part in PARTS if len(np.unique(read_part(known, part))) > 1] or ["days"]


def read_part(moments: "pd.Series[Any]", part: str) -> NDArray[np.float64]:
    """Return a part of points in time: year, month from 1, day from 1, weekday from 0 (Monday), hour, days since 1970.

    Hours have fractions; days are whole.
    """
    import pandas as pd

    when = moments.dt
    if part == "hour":
        numbers = when.hour + when.minute / 60 + when.second / 3600
    elif part == "days":
        numbers = (when.normalize() - pd.Timestamp(0)) / pd.Timedelta(days=1)
    else:
        numbers = getattr(when, {"weekday": "day_of_week"}.get(part, part))
    return numbers.to_numpy(np.float64, na_value=np.nan)  # type: ignore[no-any-return]
