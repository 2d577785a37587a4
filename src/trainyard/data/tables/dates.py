"""Dates and times of day in the cells of a table: detection of their format, and conversion to numbers."""

import re
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    import pandas as pd

ISO = "ISO8601"
TIME_OF_DAY = "%H:%M"  # the format of a column of times without dates
SAMPLE = 20  # cells with which formats are selected that are then tried on the whole column
PERIODS = {"month": 12, "day": 31, "weekday": 7, "hour": 24}  # of cyclic parts
PARTS = ("year", *PERIODS, "days")

# The time at the end of a cell: hours, minutes, seconds, and `a` or `p` of AM and PM. A UTC offset is ignored.
TIME = re.compile(
    r"(?:^|\s+|T)([01]?\d|2[0-3]):([0-5]\d)(?::([0-5]\d(?:\.\d+)?))?(?:\s*([AaPp])[Mm])?"
    r"(?:\s*(?:Z|UTC|GMT|[+-]\d\d(?::?\d\d)?))?$"
)
YEAR_FIRST = ("%Y-%m-%d", "%Y/%m/%d", "%Y.%m.%d", "%Y%m%d", "%Y-%m", "%Y/%m")
SHORT_MONTH = ("%d %b %Y", "%d-%b-%Y", "%d. %b %Y", "%d-%b-%y", "%b %d, %Y", "%b %d %Y", "%b %Y", "%b-%Y", "%b-%y")
LONG_MONTH = tuple(date_format.replace("%b", "%B") for date_format in SHORT_MONTH)
MONTH_FIRST = tuple(f"%m{sign}%d{sign}{year}" for sign in "/-" for year in ("%Y", "%y"))
DAY_FIRST = tuple(f"%d{sign}%m{sign}{year}" for sign in "./-" for year in ("%Y", "%y"))
FORMATS = (ISO, TIME_OF_DAY, *YEAR_FIRST, *SHORT_MONTH, *LONG_MONTH, *MONTH_FIRST, *DAY_FIRST)


def parse_dates(values: "pd.Series[Any]", texts: "pd.Series[Any]", date_format: str) -> "pd.Series[Any]":
    """Return timestamps in local time, NaT for cells that are not dates; `texts` are the values as text.

    The format is one of `FORMATS`; ISO 8601 is also accepted beside other formats, and each date may have a time.
    """
    import pandas as pd
    from pandas.api import types

    if types.is_datetime64_any_dtype(values):
        return values.dt.tz_localize(None)
    dates, seconds = split_time(texts)
    date_format = re.split(r"[ T]*%[HI]", date_format)[0] or TIME_OF_DAY  # older checkpoints describe the time, too
    days = parse_format(dates, date_format).fillna(parse_format(dates, ISO))
    return days + pd.to_timedelta(seconds, unit="s").astype("timedelta64[us]")


def split_time(texts: "pd.Series[Any]") -> tuple["pd.Series[Any]", "pd.Series[Any]"]:
    """Return the dates in strings, which may be empty, and the times of day in seconds, 0 for a string without one."""
    import pandas as pd

    texts = texts.astype("string")
    time = texts.str.extract(TIME)
    hours, minutes, seconds = (pd.to_numeric(time[group]).fillna(0).astype(float) for group in range(3))
    half = time[3].str.lower()
    hours = hours.where(half.isna(), hours % 12 + 12 * (half == "p").astype(float))
    dates = texts.str.replace(TIME, "", regex=True)
    dates = dates.where(dates.str.contains(r"\d|^$"))  # pandas would accept `today` in all formats
    return dates, 3600 * hours + 60 * minutes + seconds


def parse_format(dates: "pd.Series[Any]", date_format: str) -> "pd.Series[Any]":
    """Return the days of texts without times in a format, NaT for others; for times of day, an arbitrary day."""
    import pandas as pd

    if date_format == TIME_OF_DAY:
        dates, date_format = dates.replace("", "1970-01-01"), ISO
    if date_format == ISO:
        dates = dates.where(dates.str.match(r"\d{4}-\d\d"))  # pandas also accepts `2016` and `20160131`
    return pd.to_datetime(dates, format=date_format, errors="coerce").astype("datetime64[us]")


def is_day_first(date_format: str) -> bool | None:
    """Whether the day precedes the month; `None` for formats in which the order is unambiguous."""
    day, month = date_format.find("%d"), date_format.find("%m")
    return None if date_format.startswith("%Y") or min(day, month) < 0 else day < month


def find_format(values: "pd.Series[Any]", texts: "pd.Series[Any]", dayfirst: bool | None) -> tuple[str, str]:
    """Return the format of most cells of a column (empty if none are dates), and a note if two formats are possible."""
    from pandas.api import types

    if types.infer_dtype(values) in ("datetime64", "datetime", "date"):
        return ISO, ""
    dates, _ = split_time(texts)
    sample = dates.iloc[:: -(-len(dates) // SAMPLE)]
    candidates = [date_format for date_format in FORMATS if parse_format(sample, date_format).notna().any()]
    counts = {date_format: int(parse_format(dates, date_format).notna().sum()) for date_format in candidates}
    best = [date_format for date_format, count in counts.items() if count == max(counts.values())]
    if not best:
        return "", ""
    best.sort(key=lambda date_format: is_day_first(date_format) is (not dayfirst))  # the unwanted order comes last
    ambiguous = dayfirst is None and {True, False} <= set(map(is_day_first, best))
    note = "the month precedes the day in its dates; data.dayfirst=true reads the day first" if ambiguous else ""
    return best[0], note


def varying_parts(dates: "pd.Series[Any]", date_format: str) -> list[str]:
    """Return the parts of dates that vary; `hour` for times of day, `days` for constant dates."""
    known = dates.dropna()
    if date_format == TIME_OF_DAY:
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
