"""Writing the report behind an embedding: a decoder trained on reports that the attacker owns.

Li, Xu & Song 2023 (GEIA, Findings of ACL, arXiv 2305.03010): the attacker has his own reports
embedded, and trains a language model to write each report with its embedding as a prefix. Then he
gives it a stranger's embedding, and it writes. Three things are added: he also asks about
recombinations of his reports (:mod:`medpriv.attacks.reports.recombination`), the network starts
from what a linear map reads from the embedding (:mod:`medpriv.attacks.reports.word_evidence`), and
one report in ten is shown to it without its embedding, so that the same network also writes
what it would write about nobody: the unconditional baseline.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from medpriv.attacks.query_plan import planned_queries
from medpriv.attacks.reports.beam_search import beam_search
from medpriv.attacks.reports.recombination import varied_reports
from medpriv.attacks.reports.word_evidence import WordEvidence, fit_word_evidence
from medpriv.data.text import drop_duplicate_texts
from medpriv.deployment import View
from medpriv.models.writers import PAD, UNKNOWN, ReportWriter, Vocabulary, packed, writing_loss
from medpriv.runtime.profile import WRITER_BATCH, WRITER_QUERIES, WRITER_STEPS
from medpriv.runtime.seeds import seeded, torch_rng
from medpriv.training.loop import Recipe, fit

_WITHOUT = 0.1  # of the reports are also shown without their embedding


@dataclass(frozen=True)
class ReportDecoder:
    """Embeddings → reports; made by :func:`.fit_report_decoder`.

    Attributes:
        vocabulary: the words it writes.
        writer: the network.
        history: mean loss of each epoch.
        queries: how many texts were sent through the view to fit it.
        own: the attacker's reports, ``sent``: all texts that he sent, his own first.
        embeddings: ``(queries, d)``, what the view answered about ``sent``.
        longest: how many words a report may have; the longest that was sent.
        unit: whether the view's embeddings have length 1, as others are then brought to.
    """

    vocabulary: Vocabulary
    writer: ReportWriter
    history: tuple[float, ...]
    queries: int
    own: tuple[str, ...]
    sent: tuple[str, ...]
    embeddings: Tensor
    longest: int
    unit: bool
    _evidence: WordEvidence

    def guess(self, embeddings: Tensor, *, beam: int = 4) -> tuple[str, ...]:
        """The most likely report behind each embedding, ``(n, d)`` as the view shows them.

        By beam search: ``beam`` hypotheses are kept at each word.

        Raises:
            ValueError: the width is another one, a number is not finite, or the beam is below 1.
        """
        if beam < 1:
            raise ValueError(f"a beam keeps at least one hypothesis, got {beam}")
        return self._written(*self.inputs(embeddings), beam)

    def without_embedding(self, *, beam: int = 4) -> str:
        """What it writes about nobody: the unconditional baseline, the same for every victim."""
        d, words = self.writer.sizes
        return self._written(torch.zeros(1, d), torch.zeros(1, words), beam)[0]

    def inputs(self, embeddings: Tensor) -> tuple[Tensor, Tensor]:
        """Embeddings in the network's own units, and the evidence for each word.

        Raises:
            ValueError: as for :meth:`guess`.
        """
        embeddings = as_shared(embeddings, unit=self.unit, width=self.embeddings.shape[1])
        return self._evidence.standardised(embeddings), self._evidence.of(embeddings)

    def _written(self, about: Tensor, evidence: Tensor, beam: int) -> tuple[str, ...]:
        rows = beam_search(self.writer, about, evidence, beam=beam, longest=self.longest)
        return tuple(self.vocabulary.text(row) for row in rows.tolist())


def writer_recipe(profile: str, reports: int) -> Recipe:
    """The recipe of a decoder: as many steps for many reports as for few, but each is seen once."""
    return Recipe.of_steps(
        WRITER_STEPS.of(profile), reports, batch_size=WRITER_BATCH.of(profile),
        learning_rate=4e-3, weight_decay=1e-2,
    )  # fmt: skip


def fit_report_decoder(
    view: View,
    texts: Sequence[str],
    *,
    profile: str = "quick",
    seed: int = 0,
    device: str | torch.device = "auto",
    queries: int | None = None,
    longest: int = 128,
    recipe: Recipe | None = None,
) -> ReportDecoder:
    """Train a decoder on the attacker's own reports and what a view answers about them.

    Fitted on the deployed view the attacker is adaptive: whatever the view does to an embedding,
    the decoder learns to read what comes.

    Args:
        view: exposes ``embedding``.
        texts: the attacker's own reports, m of them; twins, by
            :func:`medpriv.data.normalise_text`, teach nothing new and are sent once.
        profile: sets the number of steps and of queries.
        seed: decides initial weights, recombinations and order.
        device: where to train.
        queries: how many texts to send in all, at least as many as there are different reports;
            those beyond are recombinations. Without it, what profile and budget allow.
        longest: how many words of a report are read and written.
        recipe: instead of the profile's.

    Raises:
        ThreatModelError: the view exposes no embedding.
        QueryBudgetError: the budget does not cover the reports.
        ValueError: there is no word in the texts, ``queries`` does not cover them, or the view
            answered with a number that is not finite.
    """
    view.require("embedding", "the report decoder")
    own = tuple(texts[row] for row in drop_duplicate_texts(texts))
    vocabulary = Vocabulary.of(own)
    queries = planned_queries(
        view, len(own), queries, usual=WRITER_QUERIES.of(profile), what="different reports"
    )
    sent = (*own, *varied_reports(own, queries - len(own), seed=seed))
    answers = view(sent)
    unit = bool((answers.norm(dim=1) - 1).abs().max() < 1e-3)
    answers = as_shared(answers, unit=unit)
    report = vocabulary.table(sent, longest=longest)
    evidence, left_out = fit_word_evidence(answers, _present(report, len(vocabulary)))
    rows = packed(evidence.standardised(answers), left_out, report)
    hidden = torch.randperm(len(rows), generator=torch_rng(seed, "hidden"))
    hidden = hidden[: max(1, round(_WITHOUT * len(rows)))]
    without = rows[hidden].clone()
    without[:, : answers.shape[1] + len(vocabulary)] = 0
    rows, report = torch.cat([rows, without]), torch.cat([report, report[hidden]])
    hidden_size = 512 if profile == "full" else 256
    sizes = (answers.shape[1], len(vocabulary))
    with seeded(seed, "writer"):
        writer = ReportWriter(*sizes, width=hidden_size // 2, hidden=hidden_size)
    history = fit(
        writer, rows, report, loss=writing_loss, lengths=(report != PAD).sum(1),
        recipe=recipe or writer_recipe(profile, len(rows)), seed=seed, device=device,
        what="report decoder",
    )  # fmt: skip
    return ReportDecoder(
        vocabulary, writer, tuple(history), len(sent), own, sent, answers,
        report.shape[1] - 1, unit, evidence,
    )  # fmt: skip


def nearest_report(texts: Sequence[str], known: Tensor, embeddings: Tensor) -> tuple[str, ...]:
    """The baseline: of the attacker's reports the one whose embedding has the largest cosine.

    m texts, their embeddings ``(m, d)``, and those of the victims, ``(n, d)`` → n texts.

    Raises:
        ValueError: there is not one embedding for each text, the widths differ, or a number is
            not finite.
    """
    if len(texts) != len(known) or known.shape[1:] != embeddings.shape[1:]:
        raise ValueError(
            f"expected embeddings of {len(texts)} texts and of victims, of one width, got "
            f"{tuple(known.shape)} and {tuple(embeddings.shape)}"
        )
    cosine = as_shared(embeddings, unit=True) @ as_shared(known, unit=True).T
    return tuple(texts[row] for row in cosine.argmax(1).tolist())


def as_shared(embeddings: Tensor, *, unit: bool, width: int | None = None) -> Tensor:
    """``(n, d)`` embeddings as float32, of length 1 where those of the view are (``unit``).

    Raises:
        ValueError: d is not ``width``, that of the embeddings that something was fitted on; or a
            number is not finite.
    """
    if width is not None and (embeddings.ndim != 2 or embeddings.shape[1] != width):
        raise ValueError(
            f"expected embeddings of shape (n, {width}), as those that were fitted on, got "
            f"{tuple(embeddings.shape)}"
        )
    broken = (~torch.isfinite(embeddings).all(1)).nonzero()
    if len(broken):
        raise ValueError(
            f"embedding {int(broken[0])} has a number that is not finite; expected what the view "
            "answered"
        )
    return F.normalize(embeddings.float(), dim=1) if unit else embeddings.float()


def _present(report: Tensor, words: int) -> Tensor:
    found = torch.zeros(len(report), words, dtype=torch.bool).scatter_(1, report, True)
    found[:, : UNKNOWN + 1] = False
    return found
