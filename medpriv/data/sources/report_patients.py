"""The patients of the synthetic reports: name, age, sex, ten facts, and what their film shows.

Facts depend on each other as they do in a clinic: HIV and depression are more common with
substance use, opportunistic pneumonia with HIV, edema with heart failure. The sensitive ones are
**enriched for teaching**, several times above the population, so that an attack on 4,000 reports
has enough positive cases to be measured.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final, TypeVar

import numpy as np

from medpriv.runtime.resources import json_resource

#: Names, phrases, and the weights of findings.
TABLES: Final = json_resource(__file__, "synthetic_reports.json")

SENSITIVE_FACTS: Final = ("hiv", "depression", "substance_use", "pregnancy")
COMORBIDITIES: Final = ("diabetes", "hypertension", "smoker", "copd", "heart_failure", "cancer")
FACTS: Final = SENSITIVE_FACTS + COMORBIDITIES
FINDINGS: Final = tuple(TABLES["findings"])
FEMALE_NAMES: Final = tuple(TABLES["female names"])
MALE_NAMES: Final = tuple(TABLES["male names"])
FAMILY_NAMES: Final = tuple(TABLES["family names"])

FEMALE_SHARE: Final = 0.52
AGE_MEAN, AGE_SD, AGE_RANGE = 50.0, 19.0, (18, 94)
SUBSTANCE_USE_RATE: Final = {"under 60": 0.17, "60 and over": 0.06}
HIV_RATE: Final = {"no substance use": 0.05, "substance use": 0.20}
DEPRESSION_RATE: Final = {"base": 0.10, "woman": 0.06, "substance use": 0.20, "hiv": 0.12}  # added
PREGNANCY_RATE: Final = {"under 40": 0.32, "40 and over": 0.05}  # of women of these ages
PREGNANCY_AGES: Final = (18, 48)
SMOKER_RATE: Final = {"base": 0.16, "substance use": 0.30}  # added
CANCER_RATE: Final = {"under 50": 0.03, "50 and over": 0.10}
NAME_IN_TEXT_RATE: Final = 0.5

_T = TypeVar("_T")


@dataclass(frozen=True)
class Patient:
    """Who a report is about.

    Attributes:
        facts: 0 or 1 for each of ``FACTS``.
        finding: one of ``FINDINGS``.
        abnormal: 1 where the finding is acute or new.
        kind: which wording says so: the finding, the kind of pneumonia, or ``"resolved"``.
        name_in_text: 1 where the report names the patient.
    """

    first: str
    family: str
    age: int
    sex: str
    facts: dict[str, int]
    finding: str
    abnormal: int
    kind: str
    name_in_text: int

    @property
    def identity(self) -> tuple[object, ...]:
        """What no two patients share: name and facts."""
        return (self.first, self.family, *self.facts.values())

    def may_be_denied(self, fact: str) -> bool:
        """Whether a report may say that the patient does not have it."""
        if self.facts[fact]:
            return False
        return fact != "pregnancy" or _fertile(self.age, self.sex == "female")


def draw_patient(rng: np.random.Generator) -> Patient:
    """One patient."""
    female = rng.random() < FEMALE_SHARE
    age = int(np.clip(round(rng.normal(AGE_MEAN, AGE_SD)), *AGE_RANGE))
    facts = _draw_facts(rng, age, female)
    finding, abnormal = _draw_finding(rng, facts, age)
    return Patient(
        first=one_of(rng, FEMALE_NAMES if female else MALE_NAMES),
        family=one_of(rng, FAMILY_NAMES),
        age=age,
        sex="female" if female else "male",
        facts=facts,
        finding=finding,
        abnormal=abnormal,
        kind=_draw_kind(rng, facts, finding),
        name_in_text=int(rng.random() < NAME_IN_TEXT_RATE),
    )


def _fertile(age: int, female: bool) -> bool:
    return female and PREGNANCY_AGES[0] <= age <= PREGNANCY_AGES[1]


def _draw_facts(rng: np.random.Generator, age: int, female: bool) -> dict[str, int]:
    def happens(rate: float) -> int:
        return int(rng.random() < rate)

    substance = happens(SUBSTANCE_USE_RATE["under 60" if age < 60 else "60 and over"])
    hiv = happens(HIV_RATE["substance use" if substance else "no substance use"])
    depression = happens(
        DEPRESSION_RATE["base"]
        + DEPRESSION_RATE["woman"] * female
        + DEPRESSION_RATE["substance use"] * substance
        + DEPRESSION_RATE["hiv"] * hiv
    )
    pregnancy = happens(
        _fertile(age, female) * PREGNANCY_RATE["under 40" if age < 40 else "40 and over"]
    )
    smoker = happens(SMOKER_RATE["base"] + SMOKER_RATE["substance use"] * substance)
    # The remaining rates rise with age: about 3 % and 5 % at 20 years, 24 % and 55 % at 75.
    diabetes = happens(0.03 + 0.21 * np.clip((age - 20) / 55, 0, 1))
    hypertension = happens(0.05 + 0.50 * np.clip((age - 20) / 55, 0, 1))
    copd = happens(0.02 if age < 45 else 0.05 + 0.25 * smoker)
    heart_failure = happens(0.01 if age < 50 else 0.08 + 0.08 * hypertension)
    cancer = happens(CANCER_RATE["under 50" if age < 50 else "50 and over"])
    drawn = (hiv, depression, substance, pregnancy)
    drawn += (diabetes, hypertension, smoker, copd, heart_failure, cancer)
    return dict(zip(FACTS, drawn, strict=True))


def _draw_finding(rng: np.random.Generator, facts: dict[str, int], age: int) -> tuple[str, int]:
    weight = {(name, acute): share for name, acute, share in TABLES["finding weight"]}
    for fact, present in facts.items():
        for name, acute, factor in TABLES["finding factor"].get(fact, ()):
            weight[name, acute] *= factor if present else 1.0
    if age < 40:
        weight["emphysema", 0] *= 0.1
        weight["cardiomegaly", 0] *= 0.4
    return weighted(rng, weight)


def _draw_kind(rng: np.random.Generator, facts: dict[str, int], finding: str) -> str:
    if finding == "none":
        return "resolved" if rng.random() < 0.3 else "none"
    if finding != "pneumonia":
        return finding
    cause = "hiv" if facts["hiv"] else "substance_use" if facts["substance_use"] else "neither"
    return weighted(rng, TABLES["pneumonia kind rate"][cause])


def one_of(rng: np.random.Generator, options: Sequence[_T]) -> _T:
    """One of the options, each with the same chance."""
    return options[int(rng.random() * len(options))]


def weighted(rng: np.random.Generator, weights: Mapping[_T, float]) -> _T:
    """One of the keys, in proportion to its weight."""
    edges = np.cumsum(list(weights.values()))
    place = int(np.searchsorted(edges, rng.random() * edges[-1], side="right"))
    return list(weights)[place]
