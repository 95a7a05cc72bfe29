"""How a synthetic report is written about a patient, from small grammars.

Grammar: ``[a|b|c]`` stands for one of the alternatives, and may be nested; ``{slot}`` is filled
from the patient, once, so that all sentences agree on side, lobe and size.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import date, timedelta
from typing import Final

import numpy as np

from medpriv.data.sources.report_patients import FACTS, TABLES, Patient, one_of, weighted

# How many of the absent facts a report denies.
_DENIED_COUNT: Final = {0: 0.15, 1: 0.3, 2: 0.3, 3: 0.15, 4: 0.1}
_ALTERNATIVES: Final = re.compile(r"\[([^\[\]]*)\]")
# By kind and acuteness: what is seen, what is concluded.
_WORDINGS: Final = {
    (wording["kind"], wording["acute"]): wording
    for finding in TABLES["findings"].values()
    for wording in finding["wordings"]
}


def write(rng: np.random.Generator, patient: Patient) -> tuple[str, int]:
    """One report about the patient, and its number of sentences."""
    slots = _slots(rng, patient)

    def say(templates: Sequence[str]) -> str:
        return _say(rng, one_of(rng, templates), slots)

    history = _history(rng, patient, slots)
    if rng.random() < 0.15:
        history.insert(int(rng.integers(len(history) + 1)), say(TABLES["vitals"]))
    parts = [
        [say(TABLES["openings with name" if patient.name_in_text else "openings"])],
        history,
        [say(TABLES["comparisons"])] if rng.random() < 0.35 else [],
        _seen(rng, patient, slots),
        [say(_WORDINGS[patient.kind, patient.abnormal]["concluded"])],
    ]
    if rng.random() < 0.4:
        # Said in reports of both classes, so that no phrase gives the class away.
        fractured = patient.finding == "fracture"
        more = [] if fractured else [TABLES["aside without fracture"]]
        parts[4].append(say([*TABLES["asides"], *more]))
    labelled = list(zip(one_of(rng, TABLES["labels"]), parts, strict=True))
    if rng.random() < 0.25:  # the comparison before the history
        labelled[1], labelled[2] = labelled[2], labelled[1]
    text = " ".join(label + " ".join(sentences) for label, sentences in labelled if sentences)
    return text, sum(map(len, parts))


def _history(rng: np.random.Generator, patient: Patient, slots: dict[str, str]) -> list[str]:
    """Every fact that is 1, stated, and up to four of the others, denied; in any order."""
    of = TABLES["facts"]
    present = [fact for fact in FACTS if patient.facts[fact]]
    rng.shuffle(present)
    # Pregnancy reads badly in a list of diseases.
    alone = [f for f in present if f == "pregnancy" or rng.random() < 0.35]
    listed = [of[f]["noun"] for f in present if f not in alone]
    sentences = [_say(rng, one_of(rng, of[f]["sentences"]), slots) for f in alone]
    sentences += _list_sentence(rng, TABLES["facts listed"], listed, slots)

    weight = {f: of[f]["absent weight"] for f in FACTS if patient.may_be_denied(f)}
    denied = _weighted_sample(rng, weight, weighted(rng, _DENIED_COUNT))
    alone = [f for f in denied if of[f]["absent sentences"] and rng.random() < 0.35]
    listed = [of[f]["absent noun"] for f in denied if f not in alone]
    sentences += [_say(rng, one_of(rng, of[f]["absent sentences"]), slots) for f in alone]
    sentences += _list_sentence(rng, TABLES["absent facts listed"], listed, slots, last="or")
    rng.shuffle(sentences)
    return sentences


def _list_sentence(
    rng: np.random.Generator,
    frames: list[str],
    nouns: list[str],
    slots: dict[str, str],
    last: str = "and",
) -> list[str]:
    if not nouns:
        return []
    items = [_say(rng, noun, slots) for noun in nouns]
    joined = items[0] if len(items) == 1 else f"{', '.join(items[:-1])} {last} {items[-1]}"
    return [_say(rng, one_of(rng, frames), slots | {"list": joined})]


def _seen(rng: np.random.Generator, patient: Patient, slots: dict[str, str]) -> list[str]:
    """The finding, if there is one, among remarks on what it leaves normal."""
    normal = TABLES["normal"]
    touched = TABLES["findings"][patient.finding]["not normal"]
    topics = [topic for topic in normal if topic not in touched]
    rng.shuffle(topics)
    own = _WORDINGS[patient.kind, patient.abnormal].get("seen")
    count = int(rng.integers(1, 4)) + (own is None)
    sentences = [_say(rng, one_of(rng, normal[topic]), slots) for topic in topics[:count]]
    if count > 1 and rng.random() < 0.6:
        first, second, *rest = sentences
        link = one_of(rng, ("; ", ", "))
        sentences = [first[:-1] + link + second[0].lower() + second[1:], *rest]
    if own is not None:
        place = 0 if rng.random() < 0.6 else int(rng.integers(len(sentences) + 1))
        sentences.insert(place, _say(rng, one_of(rng, own), slots))
    return sentences


def _slots(rng: np.random.Generator, patient: Patient) -> dict[str, str]:
    """Everything a template may ask for."""
    female = patient.sex == "female"
    lobe = one_of(rng, TABLES["lobes"])
    side = lobe.split()[0]
    size = one_of(rng, TABLES["sizes"])
    old = one_of(rng, TABLES["past findings"]).format(lobe=lobe, side=side)
    today = date(2015, 1, 1) + timedelta(days=int(rng.integers(3650)))
    prior = today - timedelta(days=int(rng.integers(3, 900)))
    gestation = int(rng.integers(8, 39))
    article = "an" if patient.age in (11, 18) or 80 <= patient.age < 90 else "a"
    symptoms = TABLES["findings"][patient.finding].get("symptoms", TABLES["symptoms"])
    if rng.random() < 0.4:
        symptoms = TABLES["symptoms"]
    cancers = ("breast", "cervical") if female else ("prostate", "testicular")
    numbers = _numbers(rng)
    slots = numbers | {
        "first": patient.first,
        "family": patient.family,
        "title": "Ms." if female else "Mr.",
        "age": str(patient.age),
        "aged": f"{article} {patient.age}-year-old",
        "woman": "woman" if female else "man",
        "female": patient.sex,
        "She": "She" if female else "He",
        "lobe": lobe,
        "side": side,
        "Size": _capital(size),
        "old": old,
        "Old": _capital(old),
        "rib": one_of(rng, TABLES["ribs"]),
        "gestation": str(gestation),
        "trimester": ("first", "second", "third")[(gestation > 13) + (gestation > 27)],
        "cancer": one_of(rng, (*cancers, "colon", "thyroid", "bladder", "kidney")),
        "cancer_year": str(today.year - int(rng.integers(1, 9))),
        "past_year": str(today.year - int(rng.integers(1, 15))),
        "date": _written_date(rng, prior),
        "today": _written_date(rng, today),
        "question": _say(rng, TABLES["questions"], {}),
        "duration": _say(rng, TABLES["durations"], numbers),
    }
    slots["symptom"] = _say(rng, symptoms, slots)
    slots["Symptom"] = _capital(slots["symptom"])
    slots["Lobe"], slots["Side"] = _capital(lobe), _capital(side)
    slots["A_aged"], slots["Female"] = _capital(slots["aged"]), _capital(patient.sex)
    return slots


def _numbers(rng: np.random.Generator) -> dict[str, str]:
    ranges = TABLES["whole numbers"]
    low, high = np.array(list(ranges.values())).T
    whole = rng.integers(low, high + 1)
    numbers = {name: str(value) for name, value in zip(ranges, whole, strict=True)}
    for name, (least, most, digits) in TABLES["decimal numbers"].items():
        numbers[name] = f"{least + (most - least) * rng.random():.{digits}f}"
    return numbers


def _written_date(rng: np.random.Generator, day: date) -> str:
    month = TABLES["months"][day.month - 1]
    form = one_of(rng, TABLES["dates"])
    return form.format(d=day.day, m=day.month, y=day.year, month=month)


def _say(rng: np.random.Generator, template: str, slots: dict[str, str]) -> str:
    """Resolve [a|b] from the inside out, then fill {slots}."""
    while "[" in template:
        template = _ALTERNATIVES.sub(lambda match: one_of(rng, match[1].split("|")), template)
    # An empty alternative may leave two spaces.
    return " ".join(template.format_map(slots).split())


def _weighted_sample(rng: np.random.Generator, weights: dict[str, float], count: int) -> list[str]:
    """`count` different keys, one after the other, each in proportion to its weight."""
    left, chosen = dict(weights), []
    while left and len(chosen) < count:
        key = weighted(rng, left)
        del left[key]
        chosen.append(key)
    return chosen


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]
