"""Dates and times of day in the cells of a table: detection of their format, and conversion to numbers."""

import re
from contextlib import suppress
from datetime import datetime
from itertools import chain
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    import pandas as pd

ISO = "ISO8601"
SAMPLE = 20  # cells whose possible formats are tried on the whole column
PERIODS = {"month": 12, "day": 31, "weekday": 7, "hour": 24}  # of cyclic parts
PARTS = ("year", *PERIODS, "days")
OFFSET = re.compile(r"(:\d\d(?:\.\d+)?)\s*(?:Z|UTC|GMT|[+-]\d\d(?::?\d\d)?)$")
TIME = re.compile(r"(\s*|T)\d{1,2}:\d\d(:\d\d)?(\.\d{1,6})?(?:(\s*)[AaPp][Mm])?$")
YEAR_FIRST = ("%Y-%m-%d", "%Y/%m/%d", "%Y.%m.%d", "%Y%m%d", "%Y-%m", "%Y/%m")
SHORT_MONTH = ("%d %b %Y", "%d-%b-%Y", "%d. %b %Y", "%d-%b-%y", "%b %d, %Y", "%b %d %Y", "%b %Y", "%b-%Y", "%b-%y")
LONG_MONTH = tuple(date_format.replace("%b", "%B") for date_format in SHORT_MONTH)
MONTH_FIRST = tuple(f"%m{sign}%d{sign}{year}" for sign in "/-" for year in ("%Y", "%y"))
DAY_FIRST = tuple(f"%d{sign}%m{sign}{year}" for sign in "./-" for year in ("%Y", "%y"))
DIRECTIVES = {"%Y": r"\d{4}", "%y": r"\d\d", "%m": r"\d\d?", "%d": r"\d\d?", "%b": r"[^\W\d]+", "%B": r"[^\W\d]+"}
DATES = {
    date_format: re.compile(re.sub("%.", lambda match: DIRECTIVES[match[0]], re.escape(date_format)))
    for date_format in (*YEAR_FIRST, *SHORT_MONTH, *LONG_MONTH, *MONTH_FIRST, *DAY_FIRST)
}


def parse_dates(values: "pd.Series[Any]", texts: "pd.Series[Any]", date_format: str) -> "pd.Series[Any]":
    """Return timestamps in local time, NaT for cells that are not dates; `texts` are the values as text.

    The format is one of `strptime`, or `ISO8601`, which is also accepted beside other formats.
    """
    from pandas.api import types

    if types.is_datetime64_any_dtype(values):
        return values.dt.tz_localize(None)
    texts = strip_offset(texts)
    return parse_format(texts, date_format).fillna(parse_format(texts, ISO))


def strip_offset(texts: "pd.Series[Any]") -> "pd.Series[Any]":
    """Return times without their UTC offset."""
    return texts.astype("string").str.replace(OFFSET, r"\1", regex=True).astype(object)


def parse_format(texts: "pd.Series[Any]", date_format: str) -> "pd.Series[Any]":
    """Return the timestamps of texts in a format, NaT for others."""
    import pandas as pd

    if date_format == ISO:  # pandas also accepts 2016 and 20160131
        texts = texts.where(texts.astype("string").str.match(r"\d{4}-\d\d").fillna(False).astype(bool), None)
    return pd.to_datetime(texts, format=date_format, errors="coerce").astype("datetime64[us]")


def possible_formats(text: str) -> list[str]:
    """Return the formats in which a cell is a date, a time of day, or both."""
    time, date, clock = TIME.search(text), text, ""
    if time:
        date = text[: time.start()]
        gap, seconds, fraction, space = time.groups()
        hours, meridiem = ("%H:%M", "") if space is None else ("%I:%M", f"{space}%p")
        clock = f"{gap}{hours}{':%S' if seconds else ''}{'.%f' if fraction else ''}{meridiem}"
    formats = []
    for date_format in [name for name, pattern in DATES.items() if pattern.fullmatch(date)] if date else [""]:
        with suppress(ValueError):
            datetime.strptime(text, date_format + clock)
            formats.append(date_format + clock)
    return formats


def is_day_first(date_format: str) -> bool | None:
    """Whether the day precedes the month; `None` for formats in which the order is unambiguous."""
    day, month = date_format.find("%d"), date_format.find("%m")
    return None if date_format.startswith(("%Y", ISO)) or min(day, month) < 0 else day < month


def find_format(values: "pd.Series[Any]", texts: "pd.Series[Any]", dayfirst: bool | None) -> tuple[str, str]:
    """Return the format of most cells of a column (empty if none are dates), and a note if two formats are possible."""
    from pandas.api import types

    if types.infer_dtype(values) in ("datetime64", "datetime", "date"):
        return ISO, ""
    texts = strip_offset(texts)
    sample = texts.iloc[:: -(-len(texts) // SAMPLE)]
    iso = [ISO] if parse_format(sample, ISO).notna().any() else []
    formats = dict.fromkeys([*iso, *chain.from_iterable(map(possible_formats, sample))])
    counts = {date_format: int(parse_format(texts, date_format).notna().sum()) for date_format in formats}
    best = [date_format for date_format, count in counts.items() if count == max(counts.values())]
    best.sort(key=lambda date_format: is_day_first(date_format) is (not dayfirst))  # the other order comes last
    if not best:
        return "", ""
    ambiguous = dayfirst is None and {True, False} <= set(map(is_day_first, best))
    note = "the month precedes the day in its dates; data.dayfirst=true reads the day first" if ambiguous else ""
    return best[0], note


def varying_parts(dates: "pd.Series[Any]", date_format: str) -> list[str]:
    """Return the parts of dates that vary; `hour` for times of day, `days` for constant dates."""
    known = dates.dropna()
    if date_format != ISO and "%Y" not in date_format and "%y" not in date_format:
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
