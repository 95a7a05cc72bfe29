"""Open-i: chest X-ray reports of Indiana University, from the official XML or its ``.csv``."""

from __future__ import annotations

from pathlib import Path
from xml.etree.ElementTree import Element, ParseError

import numpy as np
import pandas as pd
import torch
from defusedxml.common import DefusedXmlException
from defusedxml.ElementTree import fromstring

from medpriv.data.archives import read_tar, refuse
from medpriv.data.cohort import Cohort, DataCard, Part
from medpriv.data.csv_files import read_csv
from medpriv.data.fetch import Source, locate
from medpriv.data.sources import Wanted
from medpriv.data.splitting import file_card, split_rows
from medpriv.data.text import drop_duplicate_texts
from medpriv.runtime.profile import REPORT_PATIENTS
from medpriv.runtime.resources import json_resource

COLUMNS = ("uid", "MeSH", "Problems", "findings", "impression")
MIN_WORDS = 13  # findings and impression together; shorter ones say little but "normal chest"
UNLABELLED = "no indexing"
CLASSES = ("normal", "abnormal")
CARD = DataCard.of(json_resource(__file__, "openi.json"))


def load(wanted: Wanted) -> Cohort:
    """Open-i reports, findings then impression; class 1 is any finding.

    Reports without findings, with fewer than ``MIN_WORDS`` words, or without a label are left
    out. So is each text that repeats another in its normalised form, unless ``deduplicate`` is
    off: one in four would else have a twin, perhaps in another part.
    """
    path = locate(SOURCE)
    frame = read_openi(path)
    texts = (frame["findings"] + " " + frame["impression"]).str.strip()
    usable = (frame["findings"] != "") & (texts.str.split().str.len() >= MIN_WORDS)
    labelled = usable & ~frame["Problems"].str.lower().str.strip().isin([UNLABELLED, ""])
    kept = np.flatnonzero(labelled)
    distinct = kept[drop_duplicate_texts([texts.iloc[row] for row in kept])]
    repeats = len(kept) - len(distinct)
    if wanted.deduplicate:
        kept = distinct
    frame, texts = frame.iloc[kept].reset_index(drop=True), texts.iloc[kept]
    if frame.empty:
        raise refuse(path, "no usable report is in it", "get the official archive")
    rows = Part(
        x=tuple(texts),
        y=torch.from_numpy((frame["Problems"].str.lower() != "normal").to_numpy(np.int64, True)),
        patient=("openi-" + frame["uid"]).to_numpy(dtype=str),
        attributes=frame[["MeSH", "Problems"]],
    )
    card = file_card(
        CARD,
        path,
        f"{len(usable):,} reports, of which {usable.sum():,} have findings and at least "
        f"{MIN_WORDS} words",
        f"{usable.sum() - labelled.sum():,} of these have no label and were left out",
        f"{repeats:,} that repeat another word for word were "
        f"{'left out' if wanted.deduplicate else 'kept'}; {len(rows):,} remain",
        "each report counts as one patient",
    )
    # As many as of the embedded reports, so that a chapter costs the same; `full` takes them all.
    sizes = REPORT_PATIENTS.smoke if wanted.profile == "smoke" else REPORT_PATIENTS.quick
    limit = None if wanted.profile == "full" else sum(sizes)
    return split_rows(
        "reports", card, CLASSES, rows, sizes, wanted, limit=limit, in_file_order=True
    )


def read_openi(path: Path) -> pd.DataFrame:
    """The reports as text columns ``uid, MeSH, Problems, findings, impression``.

    Raises:
        DataError: the file is neither of the two layouts, or is damaged.
    """
    frame = read_csv(path, COLUMNS) if path.suffix == ".csv" else _read_archive(path)
    if frame["uid"].duplicated().any():
        twice = frame["uid"][frame["uid"].duplicated()].iloc[0]
        raise refuse(path, f"the report {twice} is in it twice", "get the official archive")
    return frame[list(COLUMNS)]


def _read_archive(path: Path) -> pd.DataFrame:
    reports = []
    for name, content in read_tar(path, lambda name: name.endswith(".xml")):
        try:
            root = fromstring(content)
        except (ParseError, DefusedXmlException, ValueError) as error:
            raise refuse(path, f"{name} is no valid XML ({error})", "get it again") from error
        reports.append(_report(Path(name).stem, root))
    if not reports:
        raise refuse(path, "it holds no report (.xml)", "get the official archive")
    return pd.DataFrame(reports)


def _report(stem: str, root: Element) -> dict[str, str]:
    sections = {
        (node.get("Label") or "").upper(): " ".join("".join(node.itertext()).split())
        for node in root.iter("AbstractText")
    }
    terms = [(node.text or "").strip() for node in root.iterfind(".//MeSH/major")]
    # A major term is "finding/place/degree"; the finding alone is the problem.
    problems = dict.fromkeys(term.split("/")[0].strip() for term in terms)
    return {
        "uid": stem,
        "MeSH": ";".join(terms),
        "Problems": ";".join(problems),
        "findings": sections.get("FINDINGS", ""),
        "impression": sections.get("IMPRESSION", ""),
    }


SOURCE = Source(
    name="openi",
    files=("openi_reports.csv", "NLMCXR_reports.tgz"),
    url="https://openi.nlm.nih.gov/imgs/collections/NLMCXR_reports.tgz",
    page="https://openi.nlm.nih.gov/faq",
    check=read_openi,
)
