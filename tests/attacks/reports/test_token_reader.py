"""Words read from the features of each token, through the packaged encoder."""

from __future__ import annotations

import pytest
import torch

from medpriv.attacks import fit_token_reader
from medpriv.data.sources.synthetic_reports import make_reports
from medpriv.deployment import ThreatModelError, View, deploy
from medpriv.models import front, split_names
from medpriv.models.reports import ReportClassifier, ReportEncoder

TEXTS = tuple(make_reports(70, seed=2)["text"])
OWN, VICTIMS = TEXTS[:60], TEXTS[60:]


@pytest.fixture(scope="module")
def target() -> ReportClassifier:
    return ReportClassifier(ReportEncoder(), classes=2)


def tokens(target: ReportClassifier, text: str) -> list[str]:
    tokenizer = target.encoder.tokenizer
    return tokenizer.convert_ids_to_tokens(tokenizer(text)["input_ids"])


def view_after(target: ReportClassifier, layer: int) -> View:
    return deploy(target, expose="features", split=f"layer{layer}")


def test_a_report_classifier_is_cut_between_its_layers(target: ReportClassifier) -> None:
    assert split_names(target) == tuple(f"layer{number}" for number in range(1, 7))
    with pytest.raises(ValueError, match="unknown split 'layer7'.*layer6"):
        deploy(target, expose="features", split="layer7")
    with pytest.raises(ValueError, match="front of a ReportClassifier cannot be had"):
        deploy(target, expose="weights", split="layer2")
    with pytest.raises(ValueError, match="back half"):
        deploy(target, expose="back", split="layer2").back()


def test_features_are_padded_with_zeros_and_average_to_the_embedding(
    target: ReportClassifier,
) -> None:
    some = ["clear", "no acute finding in the chest", ""]
    features = front(target, "layer6")(some)
    sizes = [len(tokens(target, text)) for text in some]
    assert features.shape == (3, max(sizes), 384)
    for row, size, there in zip(features, sizes, target.embed(some), strict=True):
        assert (row[size:] == 0).all()
        assert (row[:size].abs().sum(1) > 0).all()
        mean = torch.nn.functional.normalize(row[:size].mean(0), dim=0)
        torch.testing.assert_close(mean, there, rtol=0, atol=1e-5)
    assert front(target, "layer1")([]).shape == (0, 0, 384)


@pytest.mark.parametrize(("layer", "least"), [(1, 0.9), (6, 0.6)])
def test_most_words_are_read(target: ReportClassifier, layer: int, least: float) -> None:
    view = view_after(target, layer)
    reader = fit_token_reader(view, OWN, lambda text: tokens(target, text))
    assert view.queries == len(OWN)
    truth = [tokens(target, text) for text in VICTIMS]
    read = reader.guess(view.intercept(VICTIMS))
    pairs = [pair for a, b in zip(truth, read, strict=True) for pair in zip(a, b, strict=True)]
    right = sum(a == b for a, b in pairs) / len(pairs)
    common = sum(a == reader.tokens[0] for a, _ in pairs) / len(pairs)
    assert right > least > common + 0.3


def test_bad_input(target: ReportClassifier) -> None:
    view = view_after(target, 1)
    reader = fit_token_reader(view, OWN[:5], lambda text: tokens(target, text))
    with pytest.raises(ThreatModelError, match="reading tokens needs features"):
        fit_token_reader(deploy(target, expose="embedding"), OWN, str.split)
    with pytest.raises(ValueError, match="text 0 has .* tokens, the view shows"):
        fit_token_reader(view, OWN[:2], str.split)
    with pytest.raises(ValueError, match="at least one report"):
        fit_token_reader(view, [], str.split)
    with pytest.raises(ValueError, match=r"expected features \(n, T, 384\)"):
        reader.guess(torch.zeros(2, 3))
    with pytest.raises(ValueError, match="not finite"):
        reader.guess(torch.full((1, 2, 384), float("nan")))
    assert reader.guess(torch.zeros(1, 2, 384)) == [[]]
