"""Dates and times of day in the cells of a table: detection of their format, and conversion to numbers."""

import re
from datetime import datetime
from itertools import chain
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from trainyard.data.loading.spec import PERIODS

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


def parse_dates(values: "pd.Series[Any]", texts: "pd.Series[Any]", form: str) -> "pd.Series[Any]":
    """Return timestamps in local time, NaT for cells that are not dates; `texts` are the values as text.

    `form` is for `strptime`, or `ISO8601`; cells in other formats are read if these are unambiguous.
    """
    from pandas.api import types

    if types.is_datetime64_any_dtype(values):
        return values.dt.tz_localize(None)
    texts = strip_offset(texts)
    dates = parse_format(texts, form)
    for position in np.flatnonzero(dates.isna() & texts.notna()):
        text = texts.iloc[position]
        readings = {datetime.strptime(text, other) for other in possible_formats(text, form)}
        if len(readings) == 1:
            dates.iloc[position] = readings.pop()
    return dates


def strip_offset(texts: "pd.Series[Any]") -> "pd.Series[Any]":
    """Return times without their UTC offset."""
    return texts.astype("string").str.replace(OFFSET, r"\1", regex=True).astype(object)


def parse_format(texts: "pd.Series[Any]", form: str) -> "pd.Series[Any]":
    """Return the timestamps of texts in a format, NaT for others."""
    import pandas as pd

    if form == ISO:  # pandas also accepts 2016 and 20160131
        texts = texts.where(texts.astype("string").str.match(r"\d{4}-\d\d").fillna(False).astype(bool), None)
    return pd.to_datetime(texts, format=form, errors="coerce").astype("datetime64[us]")


def possible_formats(text: str, like: str = "") -> list[str]:
    """Return the formats in which a cell is a date, a time of day, or both.

    If the format `like` has an order of day and month, formats with the other order are excluded, except those with
    points, in which the day always precedes the month.
    """
    time, date, clock = TIME.search(text), text, ""
    if time:
        date = text[: time.start()]
        gap, seconds, fraction, space = time.groups()
        hours, meridiem = ("%H:%M", "") if space is None else ("%I:%M", f"{space}%p")
        clock = f"{gap}{hours}{':%S' if seconds else ''}{'.%f' if fraction else ''}{meridiem}"
    order = is_day_first(like)
    forms = [form for form, pattern in DATES.items() if pattern.fullmatch(date)] if date else [""]
    allowed = [form + clock for form in forms if order is None or "." in form or is_day_first(form) in (None, order)]
    return [form for form in allowed if form and has_format(text, form)]


def has_format(text: str, form: str) -> bool:
    """Return whether `strptime` accepts a cell."""
    try:
        datetime.strptime(text, form)
    except ValueError:
        return False
    return True


def is_day_first(form: str) -> bool | None:
    """Whether the day precedes the month; `None` if the order cannot be confused."""
    day, month = form.find("%d"), form.find("%m")
    return None if form.startswith(("%Y", ISO)) or min(day, month) < 0 else day < month


def find_format(values: "pd.Series[Any]", texts: "pd.Series[Any]", dayfirst: bool | None) -> tuple[str, str]:
    """Return the format of most cells of a column (empty if none are dates), and a note if two formats are possible.

    `texts` are the distinct non-missing values as text; for `dayfirst` see `Table`.
    """
    from pandas.api import types

    if types.infer_dtype(values) in ("datetime64", "datetime", "date"):
        return ISO, ""
    texts = strip_offset(texts)
    sample = texts.iloc[:: -(-len(texts) // SAMPLE)]
    iso = [ISO] if parse_format(sample, ISO).notna().any() else []
    forms = dict.fromkeys([*iso, *chain.from_iterable(map(possible_formats, sample))])
    parsed = {form: parse_format(texts, form) for form in sorted(forms, key=lambda form: is_day_first(form) is True)}
    counts = {form: int(dates.notna().sum()) for form, dates in parsed.items()}
    best = [form for form, count in counts.items() if count == max(counts.values())]
    if not best:
        return "", ""
    form = next((form for form in best if dayfirst is not None and is_day_first(form) is dayfirst), best[0])
    other = next((other for other in best if is_day_first(other) is (not is_day_first(form))), None)
    if dayfirst is not None or other is None or is_day_first(form) is None:
        return form, ""
    return form, ambiguity_note(texts, form, parsed[form], parsed[other])


def ambiguity_note(texts: "pd.Series[Any]", form: str, dates: "pd.Series[Any]", others: "pd.Series[Any]") -> str:
    """Return a note on dates that have another meaning with the other order of day and month."""
    differ = np.flatnonzero(dates.notna() & others.notna() & (dates != others))
    if not len(differ):
        return ""
    text, date, other = (series.iloc[differ[0]] for series in (texts, dates, others))
    order = "day before month" if is_day_first(form) else "month before day"
    choice = str(not is_day_first(form)).lower()
    return f"{text} is read as {order} ({date:%Y-%m-%d}); data.dayfirst={choice} reads it as {other:%Y-%m-%d}"


def varying_parts(dates: "pd.Series[Any]", form: str) -> list[str]:
    """Return the parts of dates that vary; `hour` for times of day, `days` for constant dates."""
    known = dates.dropna()
    if form != ISO and "%Y" not in form and "%y" not in form:
        return ["hour"]
    return [part for part in PARTS if len(np.unique(date_part(known, part))) > 1] or ["days"]


def date_part(dates: "pd.Series[Any]", part: str) -> NDArray[np.float64]:
    """Return a part of timestamps: year, month, day, weekday (Monday is 0), fractional hour, or days since 1970."""
    import pandas as pd

    when = dates.dt
    if part == "hour":
        numbers = when.hour + when.minute / 60 + when.second / 3600
    elif part == "days":
        numbers = (when.normalize() - pd.Timestamp(0)) / pd.Timedelta(days=1)
    else:
        numbers = getattr(when, {"weekday": "day_of_week"}.get(part, part))
    return numbers.to_numpy(np.float64, na_value=np.nan)  # type: ignore[no-any-return]
