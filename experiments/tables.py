"""Recorded tables: sweeps too long for a chapter, and what the chapters cost.

A chapter runs one setting live and shows the rest from a small table in ``chapters/recorded``.
``make grids`` makes the tables again; the tests recompute a sample of their cells.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd
import torch
from joblib import Parallel, delayed, parallel_config
from torch import Tensor

from experiments import ch02 as likeness
from experiments import ch04_ch05 as attribute_sweeps
from experiments import ch08 as report_sweeps
from experiments import ch09 as label_sweeps
from experiments import ch10 as noise_sweeps
from experiments import ch11 as representation_sweeps
from experiments import ch12 as matrix_sweeps
from medpriv import attacks, data, deployment, metrics, training
from medpriv.attacks.images.inversion_with_weights import search_steps
from medpriv.course.recorded_tables import place, recorded
from medpriv.data.cohort import Cohort
from medpriv.data.sources.phantoms import make_phantoms
from medpriv.metrics.images import mse as mse_
from medpriv.runtime.cache import atomic_path
from medpriv.runtime.hashing import content_hash, source_hash
from medpriv.runtime.memory import give_back_memory
from medpriv.runtime.seeds import torch_rng
from medpriv.statistics import Estimate

Cell = Callable[..., dict[str, Any]]

SPLITS = ("conv2", "conv4", "conv6")
SEEDS = {"phantom": (0, 1, 2, 3, 4), "mias": (0, 1, 2), "pneumoniamnist": (0, 1, 2)}
_COURSE = Path(__file__).parent
# Every room below this one: a table's cells are computed by them.
_SOURCES = tuple(sorted({path.stem for path in _COURSE.parent.glob("[a-z]*")} - {_COURSE.name}))


def inversion_cell(dataset: str, seed: int, split: str, profile: str = "quick") -> dict[str, Any]:
    """One cell of the table ``06-seeds``: the inverse network at one split, with its baselines.

    SSIM is the mean over victims; ``low`` and ``high`` are its interval over patients.
    """
    cohort = data.load_images(dataset, profile=profile, seed=seed)
    view = _split_view(cohort, seed, split, profile)
    inverse = attacks.fit_inverse_network(view, cohort.auxiliary.x, profile=profile, seed=seed)
    victims = cohort.victims
    guesses = {
        "": inverse.guess(view.intercept(victims.x)),
        "mean_": cohort.auxiliary.x.mean(0, keepdim=True).expand_as(victims.x),
        "nearest_": metrics.nearest_image(victims.x, cohort.auxiliary.x),
    }
    scores = {name: metrics.image_scores(victims.x, g) for name, g in guesses.items()}
    estimate = metrics.mean_estimate(scores[""]["ssim"].to_numpy(), victims.patient)
    return {
        **_interval(estimate),
        "mse": scores[""]["mse"].mean(),
        "psnr": scores[""]["psnr"].mean(),
        "mean_image": scores["mean_"]["ssim"].mean(),
        "nearest": scores["nearest_"]["ssim"].mean(),
        "auxiliary_images": len(cohort.auxiliary),
        "victims": len(victims),
    }


def _interval(estimate: Estimate) -> dict[str, float]:
    return {"ssim": estimate.value, "low": estimate.low, "high": estimate.high}


def _split_view(cohort: Cohort, seed: int, split: str, profile: str = "quick") -> deployment.View:
    model = training.train_target(cohort, profile=profile, seed=seed)
    return deployment.deploy(model, expose="features", split=split)


def auxiliary_cell(
    dataset: str, seed: int, split: str, source: str, patients: int
) -> dict[str, Any]:
    """One cell of ``06-auxiliary``: what the attack makes of less data, or of other data.

    Args:
        dataset: whose victims.
        seed: of everything.
        split: the split layer.
        source: where the auxiliary images come from: ``same`` (the cohort's own), another data
            set, or ``noise``.
        patients: how many auxiliary patients; 0 takes all. Of noise, how many images.
    """
    cohort = data.load_images(dataset, seed=seed)
    victims, view = cohort.victims, _split_view(cohort, seed, split)
    images = _auxiliary(cohort, seed, source, patients)
    inverse = attacks.fit_inverse_network(view, images, seed=seed)
    guess = inverse.guess(view.intercept(victims.x))
    estimate = metrics.mean_estimate(metrics.ssim(victims.x, guess), victims.patient)
    return {
        **_interval(estimate),
        "mse": mse_(victims.x, guess).mean(),
        "images": len(images),
        "queries": inverse.queries,
    }


def _auxiliary(cohort: Cohort, seed: int, source: str, patients: int) -> Tensor:
    if source == "same":
        part = cohort.auxiliary
        return part.first_patients(patients).x if patients else part.x
    if source == "noise":
        shape = (patients, *cohort.auxiliary.x.shape[1:])
        return torch.rand(shape, generator=torch_rng(seed, "noise images"))
    part = data.load_images(source, seed=seed, size=cohort.auxiliary.x.shape[-1]).auxiliary
    return part.first_patients(patients).x if patients else part.x


def auxiliary_settings() -> list[dict[str, Any]]:
    """The settings of ``06-auxiliary``."""
    sources = {
        "phantom": [
            ("same", 32), ("same", 128), ("same", 512), ("same", 0), ("pneumoniamnist", 512),
            ("noise", 1000),
        ],
        "mias": [
            ("same", 16), ("same", 32), ("same", 0), ("phantom", 512), ("pneumoniamnist", 512),
            ("noise", 1000),
        ],
    }  # fmt: skip
    return [
        {"dataset": dataset, "seed": seed, "split": split, "source": source, "patients": patients}
        for dataset, pairs in sources.items()
        for source, patients in pairs
        for seed in (0, 1, 2)
        for split in SPLITS
    ]


def longer_cell(dataset: str, seed: int, split: str, steps: int) -> dict[str, Any]:
    """One cell of ``06-longer``: the attack by its length, on all auxiliary images.

    The longest is the table of the paper's inversion section: splits 2, 4, 6 by MSE, PSNR, SSIM.
    """
    cohort = data.load_images(dataset, seed=seed)
    victims, view = cohort.victims, _split_view(cohort, seed, split)
    queries = max(len(cohort.auxiliary), min(steps, 4_000))
    recipe = training.Recipe.of_steps(steps, queries, batch_size=8)
    inverse = attacks.fit_inverse_network(
        view, cohort.auxiliary.x, seed=seed, queries=queries, recipe=recipe
    )
    scores = metrics.image_scores(victims.x, inverse.guess(view.intercept(victims.x)))
    estimate = metrics.mean_estimate(scores["ssim"].to_numpy(), victims.patient)
    return {
        **_interval(estimate),
        "mse": scores["mse"].mean(),
        "psnr": scores["psnr"].mean(),
        "queries": inverse.queries,
    }


def longer_settings() -> list[dict[str, Any]]:
    """The settings of ``06-longer``."""
    return [
        {"dataset": dataset, "seed": seed, "split": split, "steps": steps}
        for dataset in ("mias", "phantom")
        for steps in (250, 1_000, 4_000)
        for seed in (0, 1, 2)
        for split in SPLITS
    ]


def stronger_cell(dataset: str, seed: int, split: str) -> dict[str, Any]:
    """One cell of ``07-attacks``: what attackers who hold one half of the network recover.

    The columns are those of :func:`from_the_front` and of :func:`from_the_back`.
    """
    return from_the_front(dataset, seed, split) | from_the_back(dataset, seed, split)


def from_the_front(dataset: str, seed: int, split: str) -> dict[str, Any]:
    """The columns of ``07-attacks`` about attackers who hold the front.

    SSIM, the mean over the first victims: ``search`` with the weights of the front, from the mean
    image; ``grey`` from grey, as published; ``restarts``, the best of three starts; ``learned``
    the inverse network, fitted on the front's own answers; ``both``, a search that starts there.
    ``mse_learned`` and ``mse_both`` are the squared errors of these two, ``weight`` that of the
    prior.
    """
    cohort = data.load_images(dataset, seed=seed)
    model = training.train_target(cohort, seed=seed)
    own, victims = cohort.auxiliary, cohort.victims.take(slice(0, 16))
    mean, shape = own.x.mean(0, keepdim=True), own.x.shape[1:]
    white = deployment.deploy(model, expose="weights", split=split)
    sent = white.intercept(victims.x)
    weight, _ = attacks.choose_tv_weight(white, own.x[:6], search=attacks.Search(100), start=mean)
    search = attacks.Search(search_steps("quick"), tv_weight=weight)
    fine = attacks.Search(60, learning_rate=0.01, tv_weight=0.01)

    def found(how: attacks.Search, start: Tensor | None) -> Tensor:
        options = {"shape": shape, "search": how, "start": start, "seed": seed}
        return attacks.recover(white, sent, **options).images

    guesses = {
        "search": found(search, mean),
        "grey": found(search, None),
        "restarts": found(replace(search, restarts=3), mean),
        "learned": attacks.fit_inverse_network(white, own.x, seed=seed).guess(sent),
    }
    guesses["both"] = found(fine, guesses["learned"])
    ssim = {name: metrics.ssim(victims.x, guess).mean() for name, guess in guesses.items()}
    mse = {f"mse_{n}": mse_(victims.x, guesses[n]).mean() for n in ("learned", "both")}
    return {"weight": weight, **ssim, **mse}


def from_the_back(dataset: str, seed: int, split: str) -> dict[str, Any]:
    """The columns of ``07-attacks`` about attackers who hold the back, and cannot ask.

    SSIM, the mean over the first victims: ``traffic`` without a query; ``labels`` the same as
    published, without a look at the traffic.
    """
    cohort = data.load_images(dataset, seed=seed)
    model = training.train_target(cohort, seed=seed)
    own, victims = cohort.auxiliary, cohort.victims.take(slice(0, 16))
    mean, shape = own.x.mean(0, keepdim=True), own.x.shape[1:]
    partner = deployment.deploy(model, expose="back", split=split)
    passed = partner.intercept(cohort.victims.x)
    sent = partner.intercept(victims.x)
    found = {}
    for name, traffic in (("traffic", 10.0), ("labels", 0.0)):
        shadow = attacks.fit_shadow_front(partner, passed, own.x, own.y, traffic=traffic, seed=seed)
        weight, _ = attacks.choose_tv_weight(
            shadow.front, own.x[:6], search=attacks.Search(100), start=mean
        )
        search = attacks.Search(search_steps("quick"), tv_weight=weight)
        guess = attacks.recover(
            shadow.front, sent, shape=shape, search=search, start=mean
        ).images
        found[name] = metrics.ssim(victims.x, guess).mean()
    return found


def stronger_settings() -> list[dict[str, Any]]:
    """The settings of ``07-attacks``."""
    return [
        {"dataset": dataset, "seed": seed, "split": split}
        for dataset in ("phantom", "mias")
        for seed in (0, 1, 2)
        for split in SPLITS
    ]


def people_cell(seed: int, model: str, attack: str) -> dict[str, Any]:
    """One cell of ``07-people``: a recogniser of phantom patients, and whom its classes give away.

    Args:
        seed: of everything.
        model: ``linear``, ``mlp`` or ``cnn``.
        attack: ``2015``, MI-Face from the weights and the mean image; ``scores``, the same from
            scores alone; ``modern``, :func:`medpriv.attacks.invert_classes` from the weights.

    Returns:
        The recogniser's accuracy on the patients' other breasts, the mean probability of the
        classes for what was found, its SSIM with the patients' images, and the share of patients
        found through their other breast, by a matcher that saw neither.
    """
    people = data.load_images("phantom", seed=seed)
    two = metrics.pairs(people.members)
    first, second = two.first[:60], two.second[:60]
    lefts = people.auxiliary.attributes["laterality"].to_numpy() == "left"
    mean = people.auxiliary.x[torch.from_numpy(lefts)].mean(0)
    own, other = people.members.x[first], people.members.x[second]
    name = people.members.patient[first]
    recogniser = training.train_recogniser(own, kind=model, seed=seed)
    view = deployment.deploy(recogniser, expose="scores" if attack == "scores" else "weights")
    shape, classes = own.shape[1:], range(len(own))
    if attack == "modern":
        guess = attacks.invert_classes(view, classes, shape=shape, restarts=1, tv=10.0, seed=seed)
    else:
        options = {"start": mean, "seed": seed, "probe": attacks.Probe(directions=20)}
        guess = attacks.mi_face(view, classes, shape=shape, steps=150, **options)
    made = make_phantoms(4000, seed=seed + 1000, size=own.shape[-1])
    originals = torch.from_numpy(made.images)[:, None]
    matcher = metrics.fit_matcher(originals, made.patient, seed=seed)
    found = metrics.reidentification(matcher, guess.images, name, other, name)
    answers = training.predict(recogniser, other.flip(-1)).argmax(1)
    return {
        "accuracy": (answers == torch.arange(len(own))).float().mean().item(),
        "score": guess.scores.mean().item(),
        "ssim": metrics.ssim(own, guess.images).mean(),
        "rank1": found.rank1.value,
        "auc": found.auc.value,
        "chance": found.chance,
        "queries": guess.queries,
    }


def people_settings() -> list[dict[str, Any]]:
    """The settings of ``07-people``."""
    return [
        {"seed": seed, "model": model, "attack": attack}
        for model in ("linear", "mlp", "cnn")
        for attack in ("2015", "modern", "scores")
        for seed in (0, 1, 2)
    ]


def run_grid(name: str, cell: Cell, settings: Iterable[dict[str, Any]]) -> pd.DataFrame:
    """Compute the cells of a table that are not recorded yet, and record each when it is done.

    A cell is keyed by a hash of its settings and of the source of all rooms but this one: an
    interrupted grid goes on where it was, and after a change in another room, or of a setting,
    cells are computed again. Cells run through joblib, so ``joblib.parallel_config`` decides where.
    """
    path = place(name)
    old = pd.read_csv(path) if path.exists() else pd.DataFrame({"key": []})
    settings = list(settings)
    keyed = dict(zip(_keys(settings), settings, strict=True))
    rows = {row["key"]: row for row in old.to_dict("records") if row["key"] in keyed}
    missing = {key: setting for key, setting in keyed.items() if key not in rows}
    jobs = (delayed(_keyed_cell)(key, cell, setting) for key, setting in missing.items())
    for number, row in enumerate(Parallel(return_as="generator_unordered")(jobs), start=1):
        rows[row["key"]] = row
        table = pd.DataFrame([rows[key] for key in keyed if key in rows])
        with atomic_path(path) as part:
            table.to_csv(part, index=False, float_format="%.6g")
        print(f"{name}: {number} of {len(missing)} cells", flush=True)
    return pd.read_csv(path)


def _keyed_cell(key: str, cell: Cell, setting: dict[str, Any]) -> dict[str, Any]:
    row = {**setting, **cell(**setting), "key": key}
    give_back_memory()
    return row


def inversion_settings() -> list[dict[str, Any]]:
    """The settings of ``06-seeds``."""
    return [
        {"dataset": dataset, "seed": seed, "split": split}
        for dataset, seeds in SEEDS.items()
        for seed in seeds
        for split in SPLITS
    ]


TABLES: dict[str, tuple[Cell, Callable[[], list[dict[str, Any]]]]] = {
    "02-texture": (likeness.texture_cell, likeness.texture_settings),
    "02-reports": (likeness.report_cell, likeness.report_settings),
    "04-auxiliary": (attribute_sweeps.attribute_cell, attribute_sweeps.attribute_settings),
    "05-auxiliary": (attribute_sweeps.fact_cell, attribute_sweeps.fact_settings),
    "06-seeds": (inversion_cell, inversion_settings),
    "06-auxiliary": (auxiliary_cell, auxiliary_settings),
    "06-longer": (longer_cell, longer_settings),
    "07-attacks": (stronger_cell, stronger_settings),
    "07-people": (people_cell, people_settings),
    "08-twins": (report_sweeps.twins_cell, report_sweeps.twins_settings),
    "08-views": (report_sweeps.views_cell, report_sweeps.views_settings),
    "09-flips": (label_sweeps.flips_cell, label_sweeps.flips_settings),
    "09-terms": (label_sweeps.terms_cell, label_sweeps.terms_settings),
    "10-noise": (noise_sweeps.noise_cell, noise_sweeps.noise_settings),
    "10-members": (noise_sweeps.members_cell, noise_sweeps.members_settings),
    "10-answers": (noise_sweeps.answers_cell, noise_sweeps.answers_settings),
    "10-images": (noise_sweeps.private_images_cell, noise_sweeps.private_images_settings),
    "11-images": (representation_sweeps.images_cell, representation_sweeps.images_settings),
    "11-reports": (representation_sweeps.reports_cell, representation_sweeps.reports_settings),
    "12-matrix": (matrix_sweeps.matrix_cell, matrix_sweeps.matrix_settings),
}


def main() -> None:
    """Make every recorded table again; real data come from ``MEDPRIV_DATA`` or their source.

    A process of one thread on each core: two threads of one cell gain little beside others.
    """
    with parallel_config(backend="loky", n_jobs=-1, inner_max_num_threads=1):
        for name, (cell, settings) in TABLES.items():
            run_grid(name, cell, settings())


def renew_keys() -> None:
    """Give all recorded cells the keys of the present code, and compute nothing.

    For an edit that cannot move a figure, once the tests have recomputed their samples.

    Raises:
        ValueError: a table was never made, or its cells are not those of its settings. Then no
            table is written.
    """
    renewed = {name: _renewed(name, settings()) for name, (_, settings) in TABLES.items()}
    for name, table in renewed.items():
        with atomic_path(place(name)) as part:
            table.to_csv(part, index=False, float_format="%.6g")


def _renewed(name: str, settings: list[dict[str, Any]]) -> pd.DataFrame:
    table = recorded(name)
    if table[list(settings[0])].to_dict("records") != settings:
        raise ValueError(
            f"the cells of {place(name)} are not the {len(settings)} of its settings; "
            "`make grids` computes what is missing"
        )
    return table.assign(key=_keys(settings))


def _keys(settings: Iterable[dict[str, Any]]) -> list[str]:
    code = source_hash(*_SOURCES)
    return [content_hash(setting, code)[:16] for setting in settings]
