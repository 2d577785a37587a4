"""The format of dates and times of day is inferred for a whole column; their parts become numbers."""

import datetime

import numpy as np
import pandas as pd
import pytest

from trainyard.data.loading.spec import Column
from trainyard.data.tables.columns import CellFormat, learn_columns
from trainyard.data.tables.reading import read_rows

DAYS = [datetime.datetime(2015, 1, 1, 7, 5) + datetime.timedelta(days=37 * i, hours=5 * i) for i in range(40)]
FORMS = [
    "%Y-%m-%d", "%Y-%m-%dT%H:%M:%S", "%Y-%m-%d %H:%M", "%Y/%m/%d", "%Y.%m.%d", "%m/%d/%Y", "%d/%m/%Y", "%d.%m.%Y",
    "%m-%d-%Y", "%d-%m-%Y", "%m/%d/%y", "%d.%m.%y", "%d %b %Y", "%d-%b-%Y", "%b %d, %Y", "%B %d, %Y", "%d %B %Y",
    "%m/%d/%Y %H:%M", "%m/%d/%Y %I:%M %p", "%d.%m.%Y %H:%M:%S", "%Y%m%d", "%d-%b-%y", "%Y-%m-%dT%H:%M:%SZ",
]  # fmt: skip
PARTS = ["year", "month", "day", "weekday", "hour", "days"]


def learn(values: object, **options: object) -> tuple[list[Column], list[str]]:
    columns, notes = learn_columns(pd.DataFrame({"when": values}), CellFormat(**options), semicolons=False)
    return columns["when"], notes


def read(values: object, columns: list[Column]) -> dict[str, list[float]]:
    x, wrong = read_rows(pd.DataFrame({"when": values}), columns)
    assert not wrong["when"].any()
    return {column.part: x[:, number].tolist() for number, column in enumerate(columns)}


@pytest.mark.parametrize("form", FORMS)
def test_all_formats_give_the_same_parts_of_dates(form: str) -> None:
    texts = [day.strftime(form) for day in DAYS]
    columns, notes = learn(texts)
    assert notes == []
    has_time = "%M" in form
    assert [column.name for column in columns] == [f"when.{part}" for part in PARTS if part != "hour" or has_time]
    x = read(texts, columns)
    assert x["year"] == [day.year for day in DAYS]
    assert x["month"] == [day.month for day in DAYS]
    assert x["day"] == [day.day for day in DAYS]
    assert x["weekday"] == [day.weekday() for day in DAYS]
    assert x["days"] == [(day.date() - datetime.date(1970, 1, 1)).days for day in DAYS]
    if has_time:
        assert x["hour"] == pytest.approx([day.hour + day.minute / 60 for day in DAYS])
    assert read(pd.to_datetime(DAYS), columns)["days"] == x["days"], "typed dates of a Parquet file"
    assert read([day.isoformat() for day in DAYS], columns)["days"] == x["days"], "dates of another file"


@pytest.mark.parametrize("form", ["%b %Y", "%b-%Y", "%Y-%m"])
def test_months_without_a_day_are_dates(form: str) -> None:
    columns, _ = learn([day.strftime(form) for day in DAYS])
    x = read(["Mar 2016" if "b %Y" in form else datetime.date(2016, 3, 1).strftime(form)], columns)
    assert (x["year"], x["month"], "day" in x) == ([2016], [3], False)


@pytest.mark.parametrize(
    "values",
    [
        ["07:30", "19:45", "23:00", "07:30"],
        ["7:30 AM", "7:45 PM", "11:00 pm", "7:30 AM"],
        ["07:30:00", "19:45:00", "23:00:00", ""],
        [datetime.time(7, 30), datetime.time(19, 45), datetime.time(23), None],
    ],
)
def test_times_of_day_become_hours(values: list[object]) -> None:
    [column], notes = learn(values)
    assert (column.name, column.period, notes) == ("when.hour", 24, [])
    assert read(values, [column])["hour"][:3] == [7.5, 19.75, 23]


def test_typed_dates_of_parquet() -> None:
    for values in (pd.to_datetime(DAYS), pd.to_datetime(DAYS, utc=True), [day.date() for day in DAYS]):
        columns, _ = learn(values)
        assert read(values, columns)["weekday"] == [day.weekday() for day in DAYS]


def test_utc_offsets_are_ignored() -> None:
    texts = ["2026-03-28T23:00:00-05:00", "2026-06-01T01:00:00-04", "2026-06-02T02:00:00Z"]
    columns, _ = learn(texts)
    assert read(texts, columns)["hour"] == [23, 1, 2]
    assert read(texts, columns)["day"] == [28, 1, 2]


AMBIGUOUS = ["01/02/2016", "03/04/2016", "05/06/2017", "07/07/2017"]


@pytest.mark.parametrize(
    ("values", "dayfirst", "month", "note"),
    [
        (AMBIGUOUS, None, 1, "the month precedes the day in its dates; data.dayfirst=true reads the day first"),
        (AMBIGUOUS, False, 1, ""),
        (AMBIGUOUS, True, 2, ""),
        ([*AMBIGUOUS, "31/01/2016"], None, 2, ""),
        ([*AMBIGUOUS, "31/01/2016"], False, 2, ""),  # nothing else is possible
        ([*AMBIGUOUS, "01/31/2016"], True, 1, ""),
        ([text.replace("/", ".") for text in AMBIGUOUS], None, 2, ""),
    ],
)
def test_the_order_of_day_and_month_is_inferred(
    values: list[str], dayfirst: bool | None, month: int, note: str
) -> None:
    columns, notes = learn(values, dayfirst=dayfirst)
    assert read(values, columns)["month"][0] == month
    assert notes == ([f"column when: {note}"] if note else [])
    assert read([*values[:1], "2016-12-24"], columns)["month"] == [month, 12]


@pytest.mark.parametrize("form", ["%d.%m.%Y", "%Y%m%d"])
def test_invalid_dates_are_reported_and_missing(form: str) -> None:
    texts = [day.strftime(form) for day in DAYS]
    columns, notes = learn(["unknown", *texts[1:]])
    assert notes == ["column when: 1 of 40 values are not dates: 'unknown'; read as missing"]
    x = read(["unknown", "", texts[1]], columns)
    assert np.isnan(x["year"]).tolist() == [True, True, False]


def test_dates_in_the_other_order_are_invalid() -> None:
    columns, _ = learn([day.strftime("%m/%d/%Y") for day in DAYS])
    values = ["12/31/2016", "31/12/2016", "12/31/2016 10:00", "2016-12-31"]
    _, wrong = read_rows(pd.DataFrame({"when": values}), columns)
    assert wrong["when"].tolist() == [False, True, False, False]


def test_the_formats_of_older_checkpoints_are_read() -> None:
    older = [Column(f"when.{part}", source="when", part=part, format="%m/%d/%Y %I:%M %p") for part in ("day", "hour")]
    assert read(["01/31/2016 7:30 PM"], older) == {"day": [31], "hour": [19.5]}
    assert read(["7:30 PM"], [Column("when.hour", source="when", part="hour", format="%I:%M %p")]) == {"hour": [19.5]}


@pytest.mark.parametrize(
    "values",
    [
        ["1/2", "3/4", "1/2", "3/4"],
        ["1.2.3", "1.2.4", "1.2.3", "1.2.4"],
        ["555-1234", "555-9876", "555-1234", "555-9876"],
        ["2016", "2017", "2016", "2018"],
        ["16-20", "21-25", "16-20", "26-30"],
        ["may", "june", "may", "june"],
        ["20160131", "20161399", "20160131", "20160228"],
    ],
)
def test_similar_values_are_not_dates(values: list[str]) -> None:
    assert [column.part for column in learn(values)[0]] == [""]
