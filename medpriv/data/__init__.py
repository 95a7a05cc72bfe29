"""The data room: three calls that give a :class:`.Cohort`, split by patient."""

from medpriv.data.facts import age_and_sex, keywords, names_words, report_facts
from medpriv.data.listing import card, known_datasets
from medpriv.data.loaders import load_images, load_records, load_reports
from medpriv.data.own_files import cohort_from
from medpriv.data.splitting import split_by_patient
from medpriv.data.statements import report_slots, report_statements
from medpriv.data.text import drop_duplicate_texts, first_words, normalise_text, unseen_reports

__all__ = [
    "age_and_sex",
    "card",
    "cohort_from",
    "drop_duplicate_texts",
    "first_words",
    "keywords",
    "known_datasets",
    "load_images",
    "load_records",
    "load_reports",
    "names_words",
    "normalise_text",
    "report_facts",
    "report_slots",
    "report_statements",
    "split_by_patient",
    "unseen_reports",
]
