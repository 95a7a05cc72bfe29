"""The layouts of the real files, from small fakes of them: no patient needed to test a reader."""

from __future__ import annotations

import io
import tarfile
from pathlib import Path

import numpy as np
import pandas as pd
import pooch
import pytest

from medpriv.data import load_images, load_records, load_reports
from medpriv.data.cohort import Cohort, DataError
from medpriv.data.sources.cardio import COLUMNS, impossible
from medpriv.data.sources.mias import read_mias
from medpriv.data.sources.openi import read_openi

RNG = np.random.default_rng(0)


@pytest.fixture
def data(tmp_path, monkeypatch) -> Path:
    """An empty folder that MEDPRIV_DATA names."""
    folder = tmp_path / "data"
    folder.mkdir()
    monkeypatch.setenv("MEDPRIV_DATA", str(folder))
    monkeypatch.setenv("MEDPRIV_CACHE", str(tmp_path / "cache"))
    return folder


def patients(cohort: Cohort) -> list[int]:
    return [part.patients for part in cohort.parts().values()]


def tar(path: Path, files: dict[str, bytes]) -> Path:
    with tarfile.open(path, "w:gz") as archive:
        for name, content in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    return path


INFO_TXT = b"""INFORMATION: header text that no rule may read: mdb999 is not listed here
mdb001 G CIRC B 535 425 197
mdb002 G CIRC B 522 280 69
mdb003 D NORM
mdb005 F CIRC B 477 133 30
mdb005 F CIRC B 500 168 26
mdb010 F CIRC B 525 425 33
mdb023 G CIRC M 538 681 29
mdb028 F CIRC M 338 314 56
mdb144 F MISC B 233 994 29
mdb144 F MISC M 313 540 27
mdb059 F CIRC B
mdb216 D CALC M *NOTE 3*
"""
ABNORMAL = {
    "mdb001": 0, "mdb002": 0, "mdb005": 0, "mdb010": 0, "mdb023": 1, "mdb028": 1,
    "mdb144": 1, "mdb216": 1,
}  # fmt: skip


def fake_film(number: int) -> np.ndarray:
    """A bright half disc at the border of a black film; 1024×1024, made of 8×8 blocks."""
    y, x = np.mgrid[:128, :128]
    disc = (y - 64) ** 2 + x**2 < (40 + number % 30) ** 2
    return np.kron(np.where(disc, 100 + number % 100, 0), np.ones((8, 8))).astype(np.uint8)


def pgm(film: np.ndarray) -> bytes:
    height, width = film.shape
    return f"P5\n# toy\n{width} {height}\n255\n".encode() + film.tobytes()


@pytest.fixture
def mias_archive(data) -> Path:
    files = {name: pgm(fake_film(int(name[3:]))) for name in [*ABNORMAL, "mdb003", "mdb059"]}
    members = {f"{name}.pgm": film for name, film in files.items()}
    return tar(data / "all-mias.tar.gz", {"README": b"", **members, "Info.txt": INFO_TXT})


def test_mias_archive(mias_archive):
    pixels, labels, ids = read_mias(mias_archive)
    assert dict(zip(ids, labels, strict=True)) == ABNORMAL
    for name, image in zip(ids, pixels, strict=True):
        # Blocks of one value: their mean is that value.
        assert np.array_equal(image, fake_film(int(name[3:]))[::8, ::8])
    cohort = load_images("mias", size=64)
    assert sum(patients(cohort)) == 7  # mdb001 and mdb002 are one patient
    together = [set(part.patient) for part in cohort.parts().values()]
    assert sum(map(len, together)) == len(set.union(*together))
    inside = cohort.members.x > 0.2
    assert (cohort.members.mask == inside).float().mean() > 0.97
    assert any("no checksum" in note for note in cohort.card.notes)


def test_both_mias_layouts_agree(mias_archive, data):
    from_archive = load_images("mias")
    pixels, labels, ids = read_mias(mias_archive)
    np.savez(data / "mias_128.npz", images=pixels, labels=labels, ids=ids)
    from_npz = load_images("mias")
    assert from_npz.content_hash() == from_archive.content_hash()
    assert from_npz.card.sha256 != from_archive.card.sha256
    assert "read from mias_128.npz" in from_npz.card.notes


@pytest.mark.parametrize(
    ("files", "wrong"),
    [
        ({}, "no Info.txt"),
        ({"Info.txt": b"nothing"}, "no Info.txt that lists findings"),
        ({"Info.txt": INFO_TXT}, "lists 8 image.* that it lacks, the first mdb001"),
        ({"mdb001.pgm": b"P5\n4 4\n255\n" + bytes(16)}, "mdb001.pgm is a L image of 4×4"),
        ({"mdb001.pgm": b"P5\n1024 1024\n255\n" + bytes(99)}, "mdb001.pgm cannot be read"),
        ({"../mdb001.pgm": b"x"}, "leads outside"),
    ],
)
def test_bad_mias_archive(data, files, wrong):
    tar(data / "all-mias.tar.gz", files)
    with pytest.raises(DataError, match=rf"all-mias\.tar\.gz: .*{wrong}"):
        load_images("mias")


@pytest.mark.parametrize(
    ("changed", "wrong"),
    [
        ({"images": np.zeros((8, 64, 64), dtype=np.uint8)}, "expected uint8 images"),
        ({"labels": np.arange(8)}, "a label or an id is wrong"),
        ({"ids": np.array(["x1"] * 8)}, "a label or an id is wrong"),
        ({"ids": np.array(["mdb001"] * 8)}, "in it twice"),
    ],
)
def test_bad_mias_npz(data, changed, wrong):
    good = {
        "images": np.zeros((8, 128, 128), dtype=np.uint8),
        "labels": np.arange(8) % 2,
        "ids": np.array(list(ABNORMAL)),
    }
    np.savez(data / "mias_128.npz", **(good | changed))
    with pytest.raises(DataError, match=rf"mias_128\.npz: .*{wrong}"):
        load_images("mias")


def fake_medmnist(path: Path, *, colours: int = 1, labels: int = 1, repeat: bool = True) -> dict:
    shape = (28, 28, 3) if colours == 3 else (28, 28)
    arrays = {}
    for split, count in (("train", 40), ("val", 10), ("test", 12)):
        arrays[f"{split}_images"] = RNG.integers(0, 256, (count, *shape), dtype=np.uint8)
        arrays[f"{split}_labels"] = RNG.integers(0, 2, (count, labels), dtype=np.uint8)
        arrays[f"{split}_labels"][:2, 0] = (0, 1)
    if repeat:
        arrays["test_images"][:3] = arrays["train_images"][:3]
        arrays["val_images"][0] = arrays["val_images"][1]
    np.savez(path, **arrays)
    return arrays


def test_medmnist_keeps_the_official_split_and_drops_repetitions(data):
    arrays = fake_medmnist(data / "pneumoniamnist.npz")
    cohort = load_images("pneumoniamnist", profile="full", size=28)
    assert [len(part) for part in cohort.parts().values()] == [20, 20, 9, 9]
    for part, split in zip(cohort.parts().values(), ("train", "train", "val", "test"), strict=True):
        assert set(part.attributes["official_split"]) == {split}
        stored = {image.tobytes() for image in arrays[f"{split}_images"]}
        assert {(i[0] * 255).round().byte().numpy().tobytes() for i in part.x} <= stored
    seen = [{image.numpy().tobytes() for image in part.x} for part in cohort.parts().values()]
    assert sum(map(len, seen)) == len(set.union(*seen)) == 58
    assert not cohort.card.patient_identity
    notes = " ".join(cohort.card.notes)
    assert "4 images that repeat another exactly were removed" in notes
    assert "28×28 pixels, resized to 28×28" in notes
    assert "not the publisher's" in notes
    small = load_images("pneumoniamnist", patients=28, size=28)
    assert [len(part) for part in small.parts().values()] == [12, 11, 1, 4]
    with pytest.raises(ValueError, match="patients=100 puts 41 images into members"):
        load_images("pneumoniamnist", patients=100)


def test_medmnist_in_colour_and_with_many_labels(data):
    fake_medmnist(data / "pathmnist.npz", colours=3)
    assert load_images("pathmnist", profile="smoke").members.x.shape == (20, 3, 64, 64)
    arrays = fake_medmnist(data / "chestmnist.npz", labels=14, repeat=False)
    cohort = load_images("chestmnist", profile="full")
    assert cohort.classes == ("no finding", "any finding")
    assert int(cohort.test.y.sum()) == int(arrays["test_labels"].any(axis=1).sum())


@pytest.mark.parametrize(
    ("changed", "wrong"),
    [
        ({"val_images": np.zeros((10, 28, 28))}, "val_images are float64"),
        ({"val_images": np.zeros((9, 28, 28), dtype=np.uint8)}, "val_images are uint8"),
        ({"val_labels": np.full((10, 1), 7)}, "labels run from 0 to 7"),
        ({"val_labels": np.full((10, 1), 0.5)}, "val_labels are float64"),
        ({"val_images": np.zeros((10, 28, 28), dtype=np.uint8)}, None),
    ],
)
def test_bad_medmnist(data, changed, wrong):
    arrays = fake_medmnist(data / "pneumoniamnist.npz") | changed
    np.savez(data / "pneumoniamnist.npz", **arrays)
    if wrong is None:  # ten equal images are one image
        assert len(load_images("pneumoniamnist", profile="full").victims) == 1
        return
    with pytest.raises(DataError, match=rf"pneumoniamnist\.npz: .*{wrong}"):
        load_images("pneumoniamnist")


def fake_cardio(rows: int = 40) -> pd.DataFrame:
    half = np.arange(rows) % 2
    return pd.DataFrame(
        {
            "id": np.arange(rows), "age": 18393 + np.arange(rows), "gender": half + 1,
            "height": 168, "weight": 62.5, "ap_hi": 120, "ap_lo": 80,
            "cholesterol": np.arange(rows) % 3 + 1, "gluc": 1, "smoke": half, "alco": 0,
            "active": 1, "cardio": np.arange(rows) // 2 % 2,
        }
    )  # fmt: skip


def test_cardio_cleaning_is_explicit_and_counted(data):
    frame = fake_cardio()
    frame.loc[0, "ap_hi"] = 16020
    frame.loc[1, "ap_hi"] = -150
    frame.loc[2, "ap_lo"] = 1000  # also not below the systolic pressure
    frame.loc[3, "ap_lo"] = 120
    frame.loc[4, "height"] = 55
    frame.loc[5, "weight"] = 10
    frame.to_csv(data / "cardio.csv", index=False, sep=";")  # as Kaggle writes it
    cohort = load_records("cardio", profile="full")
    assert sum(patients(cohort)) == 34
    count = (
        "6 of 40 records have impossible values (systolic pressure 2, diastolic pressure 1, "
        "diastolic not below systolic 3, height 1, weight 1)"
    )
    assert f"{count}; they were removed" in cohort.card.notes
    whole = load_records("cardio", profile="full", clean=False)
    assert sum(patients(whole)) == 40
    assert f"{count}; nothing was removed" in whole.card.notes
    readable = cohort.frame("members")
    assert readable["age_years"].iloc[0] == pytest.approx(18393 / 365.25, abs=0.2)
    assert set(readable["gender"]) == {"female", "male"}
    assert set(readable["cholesterol"]) <= {"normal", "above normal", "well above normal"}


@pytest.mark.parametrize(
    ("column", "value", "broken"),
    [
        ("ap_hi", 60, False), ("ap_hi", 59, True), ("ap_hi", 250, False), ("ap_hi", 251, True),
        ("ap_lo", 30, False), ("ap_lo", 29, True), ("ap_lo", 119, False), ("ap_lo", 120, True),
        ("height", 120, False), ("height", 119, True), ("height", 221, True),
        ("weight", 30, False), ("weight", 29.9, True), ("weight", 250.1, True),
    ],
)  # fmt: skip
def test_limits_of_the_cleaning_rules(column, value, broken):
    record = {"height": 168, "weight": 62, "ap_hi": 120, "ap_lo": 50} | {column: value}
    values = np.array([[record.get(column.name, 0) for column in COLUMNS]], dtype=float)
    assert bool(np.any(list(impossible(values).values()))) == broken


@pytest.mark.parametrize(
    ("change", "wrong"),
    [
        (lambda f: f.drop(columns="ap_lo"), r"lacks the column\(s\) ap_lo"),
        (lambda f: f.drop(columns="age"), "lacks an age"),
        (lambda f: f.assign(height="tall"), "column 'height' has a word in row 1"),
        (
            lambda f: f.assign(gluc=4),
            "column 'gluc' has another number in row 1.*one of 1, 2, 3 is expected",
        ),
        (lambda f: f.assign(id=7), "the id 7 occurs twice"),
    ],
)
def test_bad_cardio(data, change, wrong):
    change(fake_cardio()).to_csv(data / "cardio.csv", index=False)
    with pytest.raises(DataError, match=rf"cardio\.csv: .*{wrong}"):
        load_records("cardio")


def test_cardio_of_one_class(data):
    fake_cardio().assign(cardio=1).to_csv(data / "cardio.csv", index=False)
    with pytest.raises(DataError, match="cardio: all 40 rows have one label"):
        load_records("cardio")


# The same patients as UCI's processed.cleveland.data and as OpenML's heart-c write them.
UCI = """age,sex,cp,trestbps,chol,fbs,restecg,thalach,exang,oldpeak,slope,ca,thal,num
63.0,1.0,1.0,145.0,233.0,1.0,2.0,150.0,0.0,2.3,3.0,0.0,6.0,0
67.0,1.0,4.0,160.0,286.0,0.0,2.0,108.0,1.0,1.5,2.0,3.0,3.0,2
37.0,1.0,3.0,130.0,250.0,0.0,0.0,187.0,0.0,3.5,3.0,?,3.0,0
41.0,0.0,2.0,130.0,204.0,0.0,1.0,172.0,0.0,1.4,1.0,0.0,?,1
"""
OPENML = """age,sex,cp,trestbps,chol,fbs,restecg,thalach,exang,oldpeak,slope,ca,thal,num
63,male,typ_angina,145,233,t,left_vent_hyper,150,no,2.3,down,0.0,fixed_defect,<50
67,male,asympt,160,286,f,left_vent_hyper,108,yes,1.5,flat,3.0,normal,>50_1
37,male,non_anginal,130,250,f,normal,187,no,3.5,down,,normal,<50
41,female,atyp_angina,130,204,f,st_t_wave_abnormality,172,no,1.4,up,0.0,,>50_1
"""


def test_both_spellings_of_heart_agree(data):
    (data / "heart.csv").write_text(UCI)
    uci = load_records("heart")
    (data / "heart.csv").write_text(OPENML)
    openml = load_records("heart")
    assert uci.content_hash() == openml.content_hash()
    frame = pd.concat([uci.frame(name) for name in uci.parts()]).set_index("age")
    assert frame.loc[37, "ca"] == "not recorded"
    assert frame.loc[41, "thal"] == "not recorded"
    assert frame.loc[67, "cp"] == "asymptomatic"
    assert "missing values are a category of their own (ca 1, thal 1)" in uci.card.notes


def test_heart_with_renumbered_codes_is_refused(data):
    (data / "heart.csv").write_text(UCI.replace("num", "target"))
    with pytest.raises(DataError, match=r"heart\.csv: its label is called target.*1 means healthy"):
        load_records("heart")


def openi_row(number: int) -> dict[str, str]:
    ill = number % 2
    words = " ".join(f"word{number}x{k}" for k in range(12))
    return {
        "uid": str(number),
        "MeSH": "Cardiomegaly/mild;Opacity/lung/base" if ill else "normal",
        "Problems": "Cardiomegaly;Opacity" if ill else "normal",
        "findings": f"Heart size & lungs {words}.",
        "impression": "Stable.",
    }


def openi_xml(row: dict[str, str]) -> bytes:
    terms = "".join(f"<major>{term}</major>" for term in row["MeSH"].split(";"))
    sections = "".join(
        f'<AbstractText Label="{name.upper()}">{row[name].replace("&", "&amp;")}</AbstractText>'
        for name in ("findings", "impression")
    )
    return (
        f'<?xml version="1.0"?><eCitation><uId id="CXR{row["uid"]}"/><MedlineCitation><Article>'
        f"<Abstract>{sections}</Abstract></Article></MedlineCitation>"
        f"<MeSH>{terms}<automatic>heart</automatic></MeSH></eCitation>"
    ).encode()


@pytest.fixture
def openi_rows() -> list[dict[str, str]]:
    rows = [openi_row(number) for number in range(20)]
    rows.append(openi_row(1) | {"uid": "20", "findings": openi_row(1)["findings"].upper()})
    rows.append(openi_row(21) | {"findings": ""})
    rows.append(openi_row(22) | {"findings": "Too short."})
    rows.append(openi_row(23) | {"MeSH": "No Indexing", "Problems": "No Indexing"})
    return rows


def test_both_openi_layouts_agree(data, openi_rows):
    members = {f"ecgen-radiology/{row['uid']}.xml": openi_xml(row) for row in openi_rows}
    archive = tar(data / "NLMCXR_reports.tgz", members)
    assert read_openi(archive).to_dict("records") == openi_rows
    from_archive = load_reports("openi", profile="full")
    pd.DataFrame(openi_rows).to_csv(data / "openi_reports.csv", index=False)
    from_csv = load_reports("openi", profile="full")
    assert from_csv.content_hash() == from_archive.content_hash()
    assert sum(patients(from_csv)) == 20
    notes = " ".join(from_csv.card.notes)
    assert "24 reports, of which 22 have findings and at least 13 words" in notes
    assert "1 of these have no label" in notes
    assert "1 that repeat another word for word were left out; 20 remain" in notes
    filed = load_reports("openi", profile="full", deduplicate=False)
    assert sum(patients(filed)) == 21
    assert "1 that repeat another word for word were kept; 21 remain" in " ".join(filed.card.notes)
    assert not from_csv.card.patient_identity


@pytest.mark.parametrize(
    ("members", "wrong"),
    [
        ({"a.txt": b"x"}, "holds no report"),
        ({"1.xml": b"<a><b></a>"}, "1.xml is no valid XML"),
        (
            {"1.xml": b'<!DOCTYPE x [<!ENTITY e SYSTEM "file:///etc/passwd">]><x>&e;</x>'},
            "1.xml is no valid XML",
        ),
        (
            {"a/1.xml": openi_xml(openi_row(1)), "b/1.xml": openi_xml(openi_row(1))},
            "1 is in it twice",
        ),
        ({"../1.xml": b"<a/>"}, "leads outside"),
    ],
)
def test_bad_openi_archive(data, members, wrong):
    tar(data / "NLMCXR_reports.tgz", members)
    with pytest.raises(DataError, match=rf"NLMCXR_reports\.tgz: .*{wrong}"):
        load_reports("openi")


# --- the same files, downloaded -------------------------------------------------------------------


@pytest.fixture
def serve(data, monkeypatch):
    """Let every download bring these bytes, with no folder of the reader's own."""
    monkeypatch.delenv("MEDPRIV_DATA")

    def served(content: bytes) -> Path:
        monkeypatch.setattr(
            pooch.HTTPDownloader,
            "__call__",
            lambda self, url, path, pooch: Path(path).write_bytes(content),
        )
        return data.parent / "cache"

    return served


def test_downloaded_mias_archive_is_kept(mias_archive, serve):
    cache = serve(mias_archive.read_bytes())
    cohort = load_images("mias")
    kept = {file.name for file in cache.rglob("*.*")}
    assert kept == {"all-mias.tar.gz", "all-mias.tar.gz.sha256"}
    serve(b"not asked again")
    assert load_images("mias").content_hash() == cohort.content_hash()


@pytest.mark.parametrize(
    "content", [b"<!DOCTYPE html><title>moved</title>", b"", b"\x1f\x8b half of an archive"]
)
def test_downloads_without_a_checksum_are_checked_for_structure(serve, content):
    cache = serve(content)
    for load, name in ((load_images, "mias"), (load_reports, "openi")):
        with pytest.raises(DataError, match=r"web page|empty|damaged"):
            load(name)
    assert not list(cache.rglob("*.*"))


def test_download_that_is_not_what_medmnist_published(serve, data):
    fake_medmnist(data / "pneumoniamnist.npz")
    cache = serve((data / "pneumoniamnist.npz").read_bytes())
    with pytest.raises(DataError, match="its publisher states 28209eda62fecd6e6a2d98b1501bb15f"):
        load_images("pneumoniamnist")
    assert not list(cache.rglob("*.*"))
