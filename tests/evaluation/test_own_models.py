"""A reader's own model, data and layers in a comparison."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.ensemble import RandomForestClassifier
from torch import nn

from medpriv.attacks.membership import loss_attack
from medpriv.data import load_images, load_records, load_reports
from medpriv.data.cohort import Cohort
from medpriv.deployment import deploy
from medpriv.evaluation import NOTHING, compare, named_attack, named_defense
from medpriv.models import PretrainedReportClassifier
from medpriv.models.images import he_weights
from medpriv.runtime.seeds import seeded
from medpriv.training import Recipe, predict, train_target

LOSS = "membership, loss threshold"


@pytest.fixture(scope="module")
def records() -> Cohort:
    return load_records(profile="smoke", patients=400)


def table(folder: Path, attacks: Any, defenses: Any, **options: Any) -> pd.DataFrame:
    options = {"profile": "smoke", "device": "cpu", "seeds": (0,), **options}
    return compare(attacks, defenses, folder=folder / "cells", **options)


@pytest.mark.filterwarnings("ignore:not seen to be better")
def test_a_function_is_compared_and_its_leak_is_seen(records: Cohort, tmp_path: Path) -> None:
    """Trees that were grown to the end know their members: the loss of each is near 0."""
    forest = RandomForestClassifier(50, random_state=0)
    forest.fit(records.members.x.numpy(), records.members.y.numpy())
    found = table(
        tmp_path, [named_attack("records", LOSS), named_attack("records", "MAP, outcome")],
        [NOTHING], cohort=records, model=forest.predict_proba, outputs="probabilities",
        attribute="ancestry",
    )  # fmt: skip
    assert found["error"].eq("").all()
    assert found["attribute"].tolist() == ["", "ancestry"]
    right = forest.predict(records.test.x.numpy()) == records.test.y.numpy()
    assert found["accuracy"][0] == pytest.approx(right.mean())
    view = deploy(forest.predict_proba, expose="scores", outputs="probabilities")
    own, members, others = (
        loss_attack(view, part.x[:300], part.y[:300]).numpy()
        for part in (records.auxiliary, records.members, records.test)
    )
    # Trees tie: of the two cuts at the median the one that calls more nearly half of his own.
    middle = np.sort(own)[(len(own) - 1) // 2]
    cuts = [np.greater, np.greater_equal]
    cut = min(cuts, key=lambda one: abs(one(own, middle).mean() - 0.5))
    called = [cut(part, middle).mean() for part in (members, others)]
    assert found["adaptive"][0] == pytest.approx(called[0] - called[1])
    assert found["adaptive"][0] > 0.4


class Small(nn.Module):
    """A CNN with batch norm, a layer that writes in place, and layers of other names."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Sequential(
            nn.Conv2d(1, 8, 3, 2, 1), nn.BatchNorm2d(8), nn.ReLU(inplace=True)
        )
        self.stage = nn.Sequential(nn.Conv2d(8, 8, 3, 2, 1), nn.ReLU(inplace=True))
        self.fc = nn.Linear(8 * 16 * 16, 2)
        self.apply(he_weights)

    def forward(self, x: Any) -> Any:
        return self.fc(self.stage(self.stem(x)).view(x.size(0), -1))


@pytest.mark.slow
@pytest.mark.sampled(2, group="own networks")
@pytest.mark.filterwarnings("ignore:not seen to be better")
def test_a_network_with_layers_of_its_own(tmp_path: Path) -> None:
    cohort = load_images(profile="smoke", patients=80)
    with seeded(0, "test"):
        network = Small()
    model = train_target(cohort, profile="smoke", model=network)
    attacks = [
        named_attack("images", "inverse network", split="stem"),
        named_attack("images", LOSS),
    ]
    defenses = [
        NOTHING,
        named_defense("images", "noise", 0.3),
        named_defense("images", "NoPeek", 1, split="stem"),
        named_defense("images", "DP-SGD", 8),
    ]
    options = {"cohort": cohort, "model": model}
    found = table(tmp_path, attacks, defenses, untrained=network, **options)
    assert found["error"].eq("").all()
    assert found["attack"].unique().tolist() == ["inverse network, stem", LOSS]
    first = found.iloc[0]
    assert first["adaptive"] > first["baseline"] + 0.1
    right = predict(model, cohort.test.x).argmax(1) == cohort.test.y
    assert first["accuracy"] == pytest.approx(float(right.double().mean()))
    with pytest.raises(ValueError, match="DP-SGD train a target anew.*untrained="):
        table(tmp_path, attacks, defenses[:2] + defenses[3:], **options)


def test_other_weights_are_other_cells(records: Cohort, tmp_path: Path) -> None:
    width = records.members.x.shape[1]
    with seeded(0, "test"):
        network = nn.Sequential(nn.Linear(width, 16), nn.ReLU(), nn.Linear(16, 3))
    units = [named_attack("records", "hidden units")]
    figures = []
    for epochs in (1, 30):
        recipe = Recipe(epochs, batch_size=32, learning_rate=1e-2)
        model = train_target(records, recipe=recipe, model=network)
        found = table(tmp_path, units, [NOTHING], cohort=records, model=model)
        assert found["error"].eq("").all()
        figures.append(found["utility"][0])
    assert figures[0] != figures[1]
    assert len(list((tmp_path / "cells").iterdir())) == 2


def test_other_functions_are_other_cells(records: Cohort, tmp_path: Path) -> None:
    attack = [named_attack("records", "MAP, outcome")]
    x, y = records.members.x.numpy(), records.members.y.numpy()
    forests = [RandomForestClassifier(trees, random_state=0).fit(x, y) for trees in (1, 30)]
    asked = [
        *(forest.predict_proba for forest in forests),
        *(partial(in_thirds, forest) for forest in forests),
    ]
    found = [
        table(tmp_path, attack, [NOTHING], cohort=records, model=ask, outputs="probabilities")
        for ask in (*asked, asked[0])
    ]
    assert len(list((tmp_path / "cells").iterdir())) == 4
    assert found[0]["adaptive"][0] == found[4]["adaptive"][0] == found[2]["adaptive"][0]
    assert found[0]["accuracy"][0] != found[1]["accuracy"][0]
    labels = table(
        tmp_path, attack, [NOTHING], cohort=records, model=forests[1].predict, outputs="labels"
    )
    assert labels["accuracy"][0] == found[1]["accuracy"][0]


def in_thirds(forest: RandomForestClassifier, rows: np.ndarray) -> np.ndarray:
    return forest.predict_proba(rows)


def test_what_cannot_be_compared(records: Cohort, tmp_path: Path) -> None:
    attacks = [named_attack("records", LOSS)]
    wide = nn.Linear(records.members.x.shape[1], 5)
    for options, message in (
        ({}, "a dataset or a cohort, one of the two"),
        ({"dataset": "warfarin", "cohort": records}, "a dataset or a cohort, one of the two"),
        ({"dataset": "warfarin", "model": wide}, "whose members has your model seen"),
        ({"cohort": records, "model": wide}, r"Linear must return logits of shape \(2, 3\)"),
    ):
        with pytest.raises(ValueError, match=message):
            table(tmp_path, attacks, [NOTHING], **options)
    with pytest.raises(ValueError, match="unknown attack on images at a layer 'search'"):
        named_attack("images", "search", split="stem")
    with pytest.raises(ValueError, match="unknown defense of images at a layer 'noise'"):
        named_defense("images", "noise", split="stem")


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:not seen to be better")
def test_a_classifier_of_texts_with_its_own_head(tmp_path: Path) -> None:
    from transformers import BertConfig, BertForSequenceClassification, BertTokenizerFast

    cohort = load_reports(profile="smoke", patients=40)
    words = {word for part in cohort.parts().values() for text in part.x for word in text.split()}
    (tmp_path / "vocab.txt").write_text("\n".join(["[PAD]", "[UNK]", "[CLS]", "[SEP]", *words]))
    config = BertConfig(
        vocab_size=len(words) + 4, hidden_size=16, num_hidden_layers=2, num_attention_heads=2,
        intermediate_size=16, max_position_embeddings=64, num_labels=len(cohort.classes),
    )  # fmt: skip
    with seeded(0, "test"):
        whole = BertForSequenceClassification(config).eval()
    whole.save_pretrained(tmp_path / "bert")
    tokenizer = BertTokenizerFast(str(tmp_path / "vocab.txt"))
    tokenizer.save_pretrained(tmp_path / "bert")
    model = PretrainedReportClassifier(str(tmp_path / "bert"))
    texts = list(cohort.test.x)
    batch = tokenizer(texts, truncation=True, max_length=64, padding=True, return_tensors="pt")
    scores = deploy(model, expose="scores")(texts)
    assert scores.sub(whole(**batch).logits.softmax(1)).abs().max() < 1e-5
    attacks = [named_attack("reports", LOSS), named_attack("reports", "tokens", split="layer1")]
    found = table(tmp_path, attacks, [NOTHING], cohort=cohort, model=model)
    assert found["error"].eq("").all()
    with pytest.raises(TypeError, match="trained already; deploy it"):
        _ = model.head
