"""Synthetic chest-radiograph reports with facts that a patient would not want to leak.

Every patient is drawn first (name, age, sex, ten facts, a finding), then a report is written about
exactly these facts from small grammars. So the truth is known for every sentence, no patient is
real, and no two reports share more than a template.
"""

from __future__ import annotations

import re
from typing import Final

import numpy as np
import pandas as pd
import torch

from medpriv.data.cohort import Cohort, DataCard, Part
from medpriv.data.sources import Wanted
from medpriv.data.sources.report_patients import TABLES, Patient, draw_patient
from medpriv.data.sources.report_writing import write
from medpriv.data.splitting import split_rows
from medpriv.data.text import normalise_text
from medpriv.runtime.arguments import require_integer
from medpriv.runtime.profile import REPORT_PATIENTS

CARD = DataCard.of(TABLES)
CLASSES = ("normal", "abnormal")

_MAX_PATIENTS: Final = 100_000  # identifiers have five digits
_WORDS: Final = (40, 90)
_MOST_SENTENCES: Final = 8
_ATTEMPTS: Final = 1_000


def load(wanted: Wanted) -> Cohort:
    """Synthetic clinical reports; class 1 where the report has an abnormal finding."""
    sizes = REPORT_PATIENTS.of(wanted.profile)
    frame = make_reports(wanted.patients or sum(sizes), seed=wanted.seed)
    rows = Part(
        x=tuple(frame["text"].astype(str)),
        y=torch.from_numpy(frame["abnormal"].to_numpy(dtype=np.int64, copy=True)),
        patient=frame["patient"].to_numpy(dtype=str),
        attributes=frame.drop(columns=["patient", "text", "abnormal"]).reset_index(drop=True),
    )
    return split_rows("reports", CARD, CLASSES, rows, sizes, wanted)


def make_reports(patients: int, *, seed: int = 0) -> pd.DataFrame:
    """Write one synthetic chest-radiograph report for each of `patients` synthetic patients.

    Patient i depends on `seed` and on the patients before i, never on the total: a larger set
    starts with the smaller one. No two patients share name and facts, and no two texts are equal
    once digits and names are dropped; a patient who would break this is drawn again.

    Args:
        patients: how many, 1 to 100,000. A thousand takes less than a second.
        seed: integer, at least 0.

    Returns:
        A row a patient and the columns, in this order: patient (str, "R00012"); name (str, first
        and family name); name_in_text (int, 1 where the report names the patient, about half do:
        the family name always, the first name often); age (int, years); sex (str, "female" or
        "male"); text (str, the report: 4 to 8 sentences, 40 to 90 words: why the patient came,
        history, often a comparison, what is seen, and the conclusion); abnormal (int, 1 where the
        conclusion reports an acute or new finding; it always follows from the text; stable, healed
        and resolved findings are 0); finding (str, the main finding, one of `FINDINGS`, acute or
        not, "none" also where an earlier one has resolved); and one column (int) for each of
        `FACTS`, the sensitive ones first. A fact that is 1 is stated in the text. One that is 0
        is not mentioned, or denied.

    Raises:
        ValueError: `patients` or `seed` is not an integer in its range.
        RuntimeError: no new text was found for a patient in 1,000 attempts.
    """
    patients = require_integer("patients", patients, 1, _MAX_PATIENTS)
    seed = require_integer("seed", seed, 0)
    identities: set[tuple[object, ...]] = set()
    skeletons: set[str] = set()
    rows = []
    for i in range(patients):
        rng = np.random.default_rng(np.random.SeedSequence((seed, i)))
        patient = _draw_new_patient(rng, identities)
        rows.append(_row(i, patient, _write_new_text(rng, patient, skeletons)))
    return pd.DataFrame(rows)


def _draw_new_patient(rng: np.random.Generator, seen: set[tuple[object, ...]]) -> Patient:
    for _ in range(_ATTEMPTS):
        patient = draw_patient(rng)
        if patient.identity not in seen:
            seen.add(patient.identity)
            return patient
    raise RuntimeError(f"no new name and facts in {_ATTEMPTS} draws; ask for fewer patients.")


def _write_new_text(rng: np.random.Generator, patient: Patient, seen: set[str]) -> str:
    low, high = _WORDS
    for _ in range(_ATTEMPTS):
        text, sentences = write(rng, patient)
        if sentences > _MOST_SENTENCES or not low <= len(text.split()) <= high:
            continue
        skeleton = _skeleton(text, patient)
        if skeleton not in seen:
            seen.add(skeleton)
            return text
    raise RuntimeError(f"no new text in {_ATTEMPTS} draws; ask for fewer patients.")


def _row(i: int, patient: Patient, text: str) -> dict[str, object]:
    return {
        "patient": f"R{i:05d}",
        "name": f"{patient.first} {patient.family}",
        "name_in_text": patient.name_in_text,
        "age": patient.age,
        "sex": patient.sex,
        "text": text,
        "abnormal": patient.abnormal,
        "finding": patient.finding,
        **patient.facts,
    }


def _skeleton(text: str, patient: Patient) -> str:
    """What is left of a text without digits and the patient's name."""
    name = set(normalise_text(f"{patient.first} {patient.family}").split())
    letters = re.sub(r"\d", "", normalise_text(text))
    return " ".join(word for word in letters.split() if word not in name)
