"""Attribute inference beside its peers, in one run: seconds, strength, ratios, memory.

ART (Adversarial Robustness Toolbox) gets the same target, auxiliary records, victims and answers.
It reads categories as numbers, ours as categories; that is part of what is compared.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from timing import fastest, peaks, timed
from torch import Tensor, nn

from medpriv import attacks, data, deployment, metrics, training
from medpriv.data.cohort import Cohort, DataError
from medpriv.models import build_target
from medpriv.models.reports import ReportEncoder

WANTED = ("gender", "smoke", "cholesterol")
FAMILIES = {"logistic": "lr", "boosting": "gb"}  # ours, and what ART calls the same


def _loaded(load: Callable[..., Cohort], name: str) -> Cohort | None:
    """A real data set, or the reason why its rows are left out."""
    try:
        return load(name, seed=0)
    except (DataError, OSError) as error:
        print(f"rows on {name} are left out: {error}")
        return None


def against_art() -> list[dict[str, object]]:
    """Three attributes of `cardio`, each by ART's attacks and by ours with the same family."""
    cohort = _loaded(data.load_records, "cardio")
    if cohort is None:
        return []
    target = training.train_target(cohort, seed=0, device="cpu")
    return [row for name in WANTED for row in _one_attribute(cohort, target, name)]


def _one_attribute(cohort: Cohort, target: nn.Module, name: str) -> list[dict[str, object]]:
    own, victims = cohort.auxiliary, cohort.test
    wanted = attacks.sensitive(cohort.columns, name)
    column, truth = wanted.columns[0], wanted.truth(victims.x).numpy()
    view = deployment.deploy(target, expose="label")
    answer = view.intercept(victims.x)
    certain = torch.eye(len(cohort.classes))
    art = _art(target, cohort)
    known = np.delete(victims.x.numpy(), column, axis=1)
    values = [float(value) for value in wanted.values[:, 0]]
    rows = []

    def row(what: str, ours: tuple[float, Tensor], peer: tuple[float, np.ndarray], whose: str):
        guess, theirs = ours[1].argmax(1).numpy(), peer[1].astype(int)
        scores = [
            metrics.attribute_scores(truth, one, victims.patient, len(wanted)).mcc
            for one in (guess, theirs)
        ]
        gain = metrics.attribute_scores(
            truth, guess, victims.patient, len(wanted), baseline=theirs
        ).mcc
        said = f"MCC {scores[0].value:.3f}, its {scores[1].value:.3f}, difference {gain}"
        rows.append({"what": what, "ours": ours[0], "peer": peer[0], "is": f"{whose}; {said}"})

    for family, kind in FAMILIES.items():

        def from_answer(family: str = family) -> Tensor:
            grid = attacks.ask_candidates(view, victims.x, wanted)
            prior = attacks.fit_imputer(cohort.columns, wanted, own.x, family=family)
            return attacks.map_posterior(grid, answer, certain, prior.guess(victims.x))

        def from_label(family: str = family) -> Tensor:
            model = attacks.fit_imputer(cohort.columns, wanted, own.x, own.y, family=family)
            return model.guess(victims.x, victims.y)

        def black_box(kind: str = kind) -> np.ndarray:
            attack = art.BlackBox(art.classifier, attack_model_type=kind, attack_feature=column)
            attack.fit(own.x.numpy())
            return attack.infer(known, pred=answer.numpy()[:, None], values=values)

        def baseline(kind: str = kind) -> np.ndarray:
            attack = art.TrueLabel(attack_model_type=kind, attack_feature=column)
            attack.fit(own.x.numpy(), own.y.numpy())
            return attack.infer(known, victims.y.numpy(), values=values)

        row(f"{name} from the answer, {family}", timed(from_answer), timed(black_box),
            "ART black box")  # fmt: skip
        row(f"{name} from the label, {family}", timed(from_label), timed(baseline),
            "ART true-label baseline")  # fmt: skip

    def by_membership() -> Tensor:
        scores = deployment.deploy(target, expose="scores")
        grid = attacks.ask_candidates(scores, victims.x, wanted)
        losses = -scores(own.x).gather(1, own.y[:, None]).log()
        prior = attacks.marginal_prior(own.x, wanted)
        return attacks.membership_posterior(grid, victims.y, float(losses.mean()), prior)

    def membership_of_art() -> np.ndarray:
        members, half = cohort.members, len(own) // 2
        oracle = art.Membership(art.classifier, attack_model_type="gb")
        oracle.fit(
            members.x[:half].numpy(), members.y[:half].numpy(),
            own.x[:half].numpy(), own.y[:half].numpy(),
        )  # fmt: skip
        attack = art.ByMembership(art.classifier, oracle, attack_feature=column)
        return attack.infer(known, victims.y.numpy(), values=values)

    row(f"{name} by membership", timed(by_membership), timed(membership_of_art),
        "ART membership-based, which is shown half of the members")  # fmt: skip
    return rows


def _art(target: nn.Module, cohort: Cohort):
    """What is used of ART; it is needed by the benchmark only, and `make bench` installs it."""
    from types import SimpleNamespace

    from art.attacks.inference.attribute_inference import (
        AttributeInferenceBaselineTrueLabel,
        AttributeInferenceBlackBox,
        AttributeInferenceMembership,
    )
    from art.attacks.inference.membership_inference import MembershipInferenceBlackBox
    from art.estimators.classification import PyTorchClassifier

    classifier = PyTorchClassifier(
        model=nn.Sequential(target, nn.Softmax(dim=1)),
        loss=nn.NLLLoss(),  # it must be given one; the attacks do not use it
        input_shape=(len(cohort.columns),),
        nb_classes=len(cohort.classes),
        device_type="cpu",
    )
    return SimpleNamespace(
        classifier=classifier,
        BlackBox=AttributeInferenceBlackBox,
        TrueLabel=AttributeInferenceBaselineTrueLabel,
        Membership=MembershipInferenceBlackBox,
        ByMembership=AttributeInferenceMembership,
    )


def candidates() -> list[dict[str, object]]:
    """MAP over 70,000 records and all values against the bare forward pass of that grid."""
    cohort = data.load_records("warfarin", seed=0)
    model = build_target(cohort).eval()
    records = cohort.members.x.repeat(24, 1)[:70_000]
    y = cohort.members.y.repeat(24)[:70_000]
    wanted = attacks.sensitive(cohort.columns, "vkorc1")
    prior = attacks.marginal_prior(cohort.auxiliary.x, wanted)
    view = deployment.deploy(model, expose="scores")
    grid = wanted.written(records).flatten(0, 1)

    def ours() -> Tensor:
        return attacks.map_posterior(
            attacks.ask_candidates(view, records, wanted), y, torch.ones(3, 3), prior
        )

    def bare() -> list[Tensor]:
        with torch.inference_mode():
            return [model(rows) for rows in grid.split(512)]

    return [
        {"what": "MAP over 70,000 records, three values each", "ours": fastest(ours),
         "peer": fastest(bare), "is": "the bare forward pass of that grid"}
    ]  # fmt: skip


def memory() -> list[dict[str, object]]:
    """Peak memory of MAP over 10,000 to 1,000,000 patients."""
    return peaks("MAP over {} warfarin patients", _guess_many, (10_000, 100_000, 1_000_000))


def _guess_many(number: int) -> tuple[float, float]:
    from medpriv.runtime.memory import peak_bytes

    cohort = data.load_records("warfarin", profile="smoke", seed=0)
    wanted = attacks.sensitive(cohort.columns, "vkorc1")
    view = deployment.deploy(build_target(cohort), expose="label")
    records = cohort.members.x.repeat(-(-number // len(cohort.members)), 1)[:number]
    y = torch.zeros(number, dtype=torch.long)
    prior = attacks.marginal_prior(cohort.auxiliary.x, wanted)

    def guess() -> tuple[Tensor, Tensor]:
        answers = attacks.ask_candidates(view, records, wanted)
        return answers, attacks.map_posterior(answers, y, torch.ones(3, 3), prior)

    seconds, (answers, found) = timed(guess)
    held = records.nbytes + y.nbytes + answers.nbytes + found.nbytes
    return seconds, (peak_bytes() - held) / 2**20


def embedding() -> list[dict[str, object]]:
    """Reports embedded in batches of similar length, against batches in the given order."""
    cohort = _loaded(data.load_reports, "openi")
    if cohort is None:
        return []
    texts, encoder = list(cohort.auxiliary.x[:640]), ReportEncoder()
    device = next(encoder.parameters()).device

    def padded() -> Tensor:
        tokens = encoder.tokenizer(texts, truncation=True, max_length=encoder.max_tokens)
        rows = torch.arange(len(texts)).split(64)
        with torch.inference_mode():
            return torch.cat([encoder._embed(tokens, part.tolist(), device) for part in rows])

    def ours() -> Tensor:
        with torch.inference_mode():
            return encoder(texts)

    ours()  # warm
    row = {"what": "640 reports of Open-i embedded", "ours": fastest(ours), "peer": fastest(padded)}
    return [row | {"is": "the same network, batches in given order"}]


PARTS = (against_art, candidates, memory, embedding)
