"""The attacks and defenses of the course, to be compared. One more of either is one more line."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

from torch import nn

from medpriv import defenses
from medpriv.defenses.certified_split import train_certified
from medpriv.defenses.compression import projected as projected_
from medpriv.defenses.sample_gradients import bear_sampling
from medpriv.deployment.service import Defense, ModelDefense
from medpriv.evaluation import recipes
from medpriv.evaluation.attack_catalog import images, membership, records, reports
from medpriv.evaluation.attacks import Attack, Case, Run
from medpriv.evaluation.defenses import MODALITIES, NOTHING, Defended
from medpriv.evaluation.targets import learned_noise
from medpriv.runtime.arguments import choose

_KEY = b"kept by the service"


def known_attacks(modality: str) -> tuple[Attack, ...]:
    """The course's attacks on images, records or reports.

    Membership has victims of its own, members and others; all others attack ``cohort.victims``.

    Raises:
        ValueError: another modality.
    """
    choose(modality, MODALITIES, "modality")
    who = Attack("membership, loss threshold", modality, "scores", membership.loss_threshold,
                 membership.no_advantage, "advantage")  # fmt: skip
    shadows = (
        Attack(f"membership, {name}", modality, "scores", run, membership.as_many_of_both, "AUC",
               rebuilds=True)
        for name, run in (("shadow models", membership.shadow_models),
                          ("offline LiRA", membership.offline_lira),
                          ("offline RMIA", membership.offline_rmia),
                          ("offline BaVarIA", membership.offline_bavaria))
    )  # fmt: skip
    return (*_ATTACKS[modality], who, *shadows)


def _inverse(split: str) -> Attack:
    return Attack(
        f"inverse network, {split}", "images", "features", images.inverse_network,
        images.mean_image, "SSIM", split=split,
    )  # fmt: skip


def _record(name: str, needs: str, run: Run, *, fits: bool = True) -> Attack:
    return Attack(name, "records", needs, run, records.imputation, "MCC", fits=fits)


_ATTACKS = {
    "images": (
        _inverse("conv2"),
        _inverse("conv4"),
        _inverse("conv6"),
        Attack("search with weights, conv4", "images", "weights", images.search,
               images.mean_image_of_searched, "SSIM", split="conv4"),
        Attack("without a query, conv2", "images", "back", images.query_free,
               images.mean_image_of_searched, "SSIM", split="conv2"),
        Attack("class inversion", "images", "weights", images.class_inversion,
               images.mean_of_class, "SSIM", fits=False),
    ),
    "records": (
        _record("MAP, outcome", "label", records.outcome),
        _record("MAP, one answer", "label", records.answer),
        _record("cases of labels", "label", records.cases_of_labels, fits=False),
        _record("confidence", "scores", records.confidence, fits=False),
        _record("same scores", "scores", records.agreement),
        _record("hidden units", "weights", records.hidden_units, fits=False),
    ),
    "reports": (
        Attack("facts", "reports", "embedding", reports.facts, reports.other_facts, "AUC"),
        Attack("nearest report", "reports", "embedding", reports.nearest, reports.usual_report,
               "token F1"),
        Attack("report decoder", "reports", "embedding", reports.decoder, reports.usual_report,
               "token F1", simpler=reports.nearest),
        Attack("masked term, one answer", "reports", "label", reports.masked_term,
               reports.words_around, "MCC"),
        Attack("masked term, same scores", "reports", "scores", reports.masked_term_by_scores,
               reports.words_around, "MCC"),
        Attack("tokens, layer2", "reports", "features", reports.tokens, reports.usual_token,
               "share of tokens", split="layer2"),
    ),
}  # fmt: skip


def known_defenses(modality: str) -> tuple[Defended, ...]:
    """The course's defenses of models of images, records or reports, each in several strengths.

    The first is no defense at all.

    Raises:
        ValueError: another modality.
    """
    choose(modality, MODALITIES, "modality")
    return tuple(one for one in _DEFENSES if modality in one.modalities)


def named_attack(modality: str, name: str, *, split: str | None = None) -> Attack:
    """One of :func:`known_attacks`, at a layer of your own network if you like.

    Args:
        modality: of the data.
        name: of the attack; with ``split``, without the layer, such as ``"inverse network"``.
        split: where your network is cut; see :func:`medpriv.models.split_names`.

    Raises:
        ValueError: another modality, or no such attack; the message lists those there are.
    """
    known = {attack.name: attack for attack in known_attacks(modality)}
    if split is None:
        return known[choose(name, known, f"attack on {modality}")]
    cut = {_without_layer(one.name): one for one in known.values() if one.split}
    found = cut[choose(_without_layer(name), cut, f"attack on {modality} at a layer")]
    return replace(found, name=f"{_without_layer(name)}, {split}", split=split)


def _without_layer(name: str) -> str:
    return name.partition(", ")[0]


def named_defense(
    modality: str, name: str, strength: float = 0.0, *, split: str | None = None
) -> Defended:
    """One of :func:`known_defenses`, in a strength of your own and at your layer if you like.

    Args:
        modality: of the data.
        name: of the defense; with ``split``, without the layer, such as ``"NoPeek"``.
        strength: in its unit; those of :func:`known_defenses` are examples.
        split: where your network is cut, for a defense that is made for one layer.

    Raises:
        ValueError: another modality, or no such defense; the message lists those there are.
    """
    if split is not None:
        cut = {_without_layer(one.name): one for one in known_defenses(modality) if one.cut}
        chosen = cut[choose(_without_layer(name), cut, f"defense of {modality} at a layer")]
        return replace(chosen.at(split), name=f"{_without_layer(name)}, {split}", strength=strength)
    known: dict[str, list[Defended]] = {}
    for one in known_defenses(modality):
        known.setdefault(one.name, []).append(one)
    those = known[choose(name, known, f"defense of {modality}")]
    # As it is registered, since a strength may bring more than a number with it.
    return next(
        (one for one in those if one.strength == strength), replace(those[-1], strength=strength)
    )


def certified_split(ratio: float, *, split: str = "conv4") -> Defended:
    """A network of images behind a ball and noise at one layer, whose ceilings are known.

    Not one of :func:`known_defenses`: those are the course's matrix.

    Args:
        ratio: C / σ, see :func:`medpriv.defenses.train_certified`.
        split: the layer.
    """
    made = Defended(
        "certified split, conv4", ratio, "C / sigma", ("images",), ("features", "back"),
        around=behind_ball, random=True, split="conv4",
    )  # fmt: skip
    return replace(made.at(split), name=f"certified split, {split}")


def _strengths(name: str, strengths: Sequence[float], unit: str, **options: Any) -> list[Defended]:
    return [Defended(name, strength, unit, **options) for strength in strengths]


# --- Answers: what is deployed around a model -----------------------------------------------------


def coin(case: Case, flips: float, model: nn.Module, *, key: bytes | None = None) -> list[Defense]:
    """Randomised response with fresh coins, or with one key for everybody."""
    classes = len(case.cohort.classes)
    made = defenses.randomised_response(flips, classes, key=key, seed=case.seed)
    return [made] if flips else []


def counted(
    make: Callable[[int], Defense], case: Case, number: float, model: nn.Module
) -> list[Defense]:
    """A defense whose strength is a whole number, of digits, scores or bits."""
    return [make(int(number))]


def drawn(
    make: Callable[..., Defense], case: Case, strength: float, model: nn.Module
) -> list[Defense]:
    """A defense that draws with the case's seed; of strength 0 there is none."""
    return [make(strength, seed=case.seed)] if strength else []


def only_label(case: Case, strength: float, model: nn.Module) -> list[Defense]:
    """A label in the shape of scores."""
    return [defenses.label_alone()]


def tempered(case: Case, temperature: float, model: nn.Module) -> list[Defense]:
    """Flatter scores."""
    return [defenses.tempered(temperature)]


def projected(case: Case, dimensions: float, model: nn.Module) -> list[Defense]:
    """Embeddings of so many dimensions."""
    return [projected_(int(dimensions), seed=case.seed)]


def learned(case: Case, tensors: float, model: nn.Module, *, split: str = "conv4") -> list[Defense]:
    """One of so many learned noises, drawn for each row."""
    return [learned_noise(case, int(tensors), model, split).defense(seed=case.seed)]


def behind_ball(
    case: Case, ratio: float, model: nn.Module, *, split: str = "conv4"
) -> list[Defense]:
    """The network, trained on through a ball and noise, and the noise in front of it."""
    recipe = defenses.further_recipe(case.profile, len(case.cohort.members))
    how = {"recipe": recipe, "seed": case.seed, "device": case.device, "model": model}
    made = train_certified(case.cohort, split, ratio, **how)
    return [
        ModelDefense("trained through a ball", lambda _: made.model),
        made.defense(seed=case.seed),
    ]


# --- The list -------------------------------------------------------------------------------------

_LISTENED = "conv4"  # where features are trained to say less, or noise is learned
_SHARED = ("features", "back", "weights", "embedding")
# Without the weights: whoever has them sees what was dropped, and chapter 11 shows that attack.
_UNSEEN = ("features", "back", "embedding")
_COMPUTED = ("label", "scores", "features", "back", "weights")
_BY_TENSOR = ("images", "records")
_NOISED = partial(drawn, defenses.noised)


def _learned(name: str, modality: str, exposes: tuple[str, ...], **where: Any) -> list[Defended]:
    """Of a single noise nothing is drawn: it is the same in each answer."""
    return [
        Defended(name, tensors, "tensors", (modality,), exposes, around=learned,
                 random=tensors > 1, **where)
        for tensors in (1, 16)
    ]  # fmt: skip


_DEFENSES: tuple[Defended, ...] = (
    NOTHING,
    *_strengths("randomised response, fresh", (0.1, 0.2, 0.4), "p", exposes=("label",),
                around=coin, random=True),
    *_strengths("randomised response, remembered", (0.1, 0.2, 0.4), "p", exposes=("label",),
                around=partial(coin, key=_KEY)),
    *_strengths("fewer digits", (2, 1, 0), "digits", exposes=("scores",),
                around=partial(counted, defenses.fewer_digits)),
    *_strengths("top score", (1,), "scores", exposes=("scores",),
                around=partial(counted, defenses.top_scores)),
    *_strengths("label alone", (1,), "label", exposes=("scores",), around=only_label),
    *_strengths("temperature", (2, 10), "T", exposes=("scores",), around=tempered),
    *_strengths("parameter noise, once", (0.02, 0.05), "sigma", modalities=_BY_TENSOR,
                exposes=_COMPUTED, around=partial(drawn, defenses.noisy_parameters)),
    *_strengths("parameter noise, per query", (0.02, 0.05), "sigma", modalities=_BY_TENSOR,
                exposes=_COMPUTED[:-1], around=partial(drawn, defenses.fresh_parameters),
                random=True),
    *_strengths("noise", (0.1, 0.3, 1.0), "root mean squares", modalities=("images",),
                exposes=_SHARED, around=_NOISED, random=True),
    # Not on features of reports: it would hide which rows are padding.
    *_strengths("noise", (0.1, 0.3, 1.0), "root mean squares", modalities=("reports",),
                exposes=("embedding",), around=_NOISED, random=True),
    *_strengths("dropout", (0.3, 0.6), "share", modalities=("images", "reports"),
                exposes=_UNSEEN, around=partial(drawn, defenses.dropped), random=True),
    *_strengths("rounding", (8, 4, 2), "bits", modalities=("images", "reports"),
                exposes=_SHARED, around=partial(counted, defenses.rounded)),
    *_learned("learned noise, conv4", "images", ("features", "back"), split=_LISTENED),
    *_learned("learned noise", "reports", ("embedding",)),
    *_strengths("projection", (64, 16), "dimensions", modalities=("reports",),
                exposes=("embedding",), around=projected),
    *_strengths("private labels", (0.1, 0.3), "p", train=recipes.with_private_labels),
    *_strengths("smoothed labels", (-0.2, 0.2), "share", train=recipes.with_smoothed_labels),
    *_strengths("DP-SGD", (8, 1), "epsilon", train=recipes.with_dp_sgd, layers=bear_sampling),
    *_strengths("NoPeek, conv4", (1, 10), "weight", modalities=("images",),
                train=recipes.with_no_peek),
    *_strengths("opponent, conv4", (1, 10), "weight", modalities=("images",),
                train=recipes.with_opponent),
)  # fmt: skip
