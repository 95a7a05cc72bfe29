"""Writing the report behind an embedding: a decoder trained on reports that the attacker owns.

Li, Xu & Song 2023 (GEIA, Findings of ACL, arXiv 2305.03010): the attacker has his own reports
embedded, and trains a language model to write each report with its embedding as a prefix. Then he
gives it a stranger's embedding, and it writes. Three things are added: he also asks about
recombinations of his reports (:func:`medpriv.attacks.varied_reports`), the network starts from what
a linear map reads from the embedding (:func:`medpriv.attacks.fit_word_evidence`), and one report in
ten is shown to it without its embedding, so that the same network also writes what it would write
about nobody: the unconditional baseline.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from medpriv.attacks.varied_reports import varied_reports
from medpriv.attacks.word_evidence import WordEvidence, fit_word_evidence
from medpriv.deployment import View
from medpriv.models.writers import (
    END,
    PAD,
    UNKNOWN,
    ReportWriter,
    Vocabulary,
    packed,
    writing_loss,
)
from medpriv.runtime import check_profile, seeded, to_device, torch_rng
from medpriv.training import Recipe, fit

_WITHOUT = 0.1  # of the reports are also shown without their embedding
_ROWS = 512  # hypotheses computed at once
_NEVER = -1e9


@dataclass(frozen=True)
class ReportDecoder:
    """Embeddings → reports; made by :func:`fit_report_decoder`.

    Attributes:
        vocabulary: the words it writes.
        writer: the network.
        history: mean loss of each epoch.
        queries: how many texts were sent through the view to fit it.
        own: the attacker's reports, ``sent``: all texts that he sent, his own first.
        embeddings: ``(queries, d)``, what the view answered about ``sent``.
        longest: how many words a report may have; the longest that was sent.
    """

    vocabulary: Vocabulary
    writer: ReportWriter
    history: tuple[float, ...]
    queries: int
    own: tuple[str, ...]
    sent: tuple[str, ...]
    embeddings: Tensor
    longest: int
    _evidence: WordEvidence
    _of_unit_length: bool

    def guess(self, embeddings: Tensor, *, beam: int = 4) -> tuple[str, ...]:
        """The most likely report behind each embedding, by beam search over all victims at once.

        Args:
            embeddings: ``(n, d)`` as the view shows them. Where the attacker's own all have
                length 1, others are brought to that length first.
            beam: how many hypotheses are kept at each word.

        Raises:
            ValueError: the width is another one, a number is not finite, or the beam is below 1.
        """
        if beam < 1:
            raise ValueError(f"a beam keeps at least one hypothesis, got {beam}")
        about, evidence = self.read(embeddings)
        return self._written(about, evidence, beam)

    def draw(self, embeddings: Tensor, number: int, *, seed: int = 0, heat: float = 0.8) -> Tensor:
        """Reports drawn at random from what the network holds possible.

        Args:
            embeddings: as for :meth:`guess`.
            number: how many for each embedding.
            seed: decides them.
            heat: below 1 likely words become likelier (the softmax's temperature).

        Returns:
            ``(n, number, T)`` int64, numbers of the vocabulary's words, ``END`` at the end.

        Raises:
            ValueError: as for :meth:`guess`, or number or heat is not positive.
        """
        if number < 1 or heat <= 0:
            raise ValueError(
                f"expected a number from 1 on and a heat above 0, got {number}, {heat}"
            )
        about, evidence = self.read(embeddings)
        draws = torch_rng(seed, "draws")

        def pick(scores: Tensor) -> Tensor:
            chances = (scores / heat).softmax(1).cpu()
            return torch.multinomial(chances, 1, generator=draws)[:, 0]

        each = max(1, _ROWS // max(number, 1))
        chunks = [
            _follow(self.writer, a.repeat_interleave(number, 0), e.repeat_interleave(number, 0),
                    pick, self.longest)
            for a, e in zip(about.split(each), evidence.split(each), strict=True)
        ]  # fmt: skip
        width = max((chunk.shape[1] for chunk in chunks), default=1)
        rows = [F.pad(chunk, (0, width - chunk.shape[1])) for chunk in chunks]
        return torch.cat(rows).unflatten(0, (len(embeddings), number))

    def without_embedding(self, *, beam: int = 4) -> str:
        """What it writes about nobody: the unconditional baseline, the same for every victim."""
        d, words = self.writer.sizes
        return self._written(torch.zeros(1, d), torch.zeros(1, words), beam)[0]

    def read(self, embeddings: Tensor) -> tuple[Tensor, Tensor]:
        """Embeddings in the network's own units, and the evidence for each word.

        Raises:
            ValueError: as for :meth:`guess`.
        """
        width = self.embeddings.shape[1]
        if embeddings.ndim != 2 or embeddings.shape[1] != width:
            raise ValueError(
                f"expected embeddings of shape (n, {width}), as those that the decoder was fitted "
                f"on, got {tuple(embeddings.shape)}"
            )
        embeddings = as_shared(embeddings, unit=self._of_unit_length)
        return self._evidence.standardised(embeddings), self._evidence.of(embeddings)

    def _written(self, about: Tensor, evidence: Tensor, beam: int) -> tuple[str, ...]:
        each = max(1, _ROWS // beam)
        return tuple(
            self.vocabulary.text(row.tolist())
            for a, e in zip(about.split(each), evidence.split(each), strict=True)
            for row in beam_search(self.writer, a, e, beam=beam, longest=self.longest)
        )


def writer_recipe(profile: str, reports: int) -> Recipe:
    """The recipe of a decoder: about as many steps for many reports as for few.

    Each report is seen at least once, so that many thousands take longer in ``quick``.

    Args:
        profile: sets the number of steps.
        reports: how many are trained on.
    """
    steps = {"smoke": 30, "quick": 350, "full": 12_000}[check_profile(profile)]
    batch_size = min(16 if profile != "full" else 64, reports)
    epochs = max(1, round(steps * batch_size / reports))
    return Recipe(epochs=epochs, batch_size=batch_size, learning_rate=4e-3, weight_decay=1e-2)


def _default_queries(view: View, texts: int, profile: str) -> int:
    wanted = {"smoke": 80, "quick": 1_200, "full": 20_000}[check_profile(profile)]
    return max(texts, int(min(wanted, view.left)))


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
    from medpriv.data.text import drop_duplicate_texts

    view.require("embedding", "the report decoder")
    own = tuple(texts[row] for row in drop_duplicate_texts(texts))
    vocabulary = Vocabulary.of(own)
    queries = _default_queries(view, len(own), profile) if queries is None else queries
    if queries < len(own):
        raise ValueError(
            f"queries={queries} does not cover the {len(own)} different reports; give fewer, or "
            "allow a query for each"
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
    with seeded(seed, "writer"):
        writer = ReportWriter(
            answers.shape[1], len(vocabulary), width=hidden_size // 2, hidden=hidden_size
        )
    history = fit(
        writer,
        rows,
        report,
        loss=writing_loss,
        recipe=recipe or writer_recipe(profile, len(rows)),
        seed=seed,
        device=device,
        what="report decoder",
        lengths=(report != PAD).sum(1),
    )
    return ReportDecoder(
        vocabulary, writer, tuple(history), len(sent), own, sent, answers,
        report.shape[1] - 1, evidence, unit,
    )  # fmt: skip


def nearest_report(decoder: ReportDecoder, embeddings: Tensor) -> tuple[str, ...]:
    """The baseline: of the attacker's own reports the one whose embedding has the largest cosine.

    Args:
        decoder: for what it was fitted on; its network is not used.
        embeddings: ``(n, d)`` of the victims.

    Raises:
        ValueError: as for :meth:`ReportDecoder.guess`.
    """
    decoder.read(embeddings)  # for its checks
    known = F.normalize(decoder.embeddings[: len(decoder.own)], dim=1)
    return tuple(decoder.own[row] for row in (embeddings.float() @ known.T).argmax(1).tolist())


def as_shared(embeddings: Tensor, *, unit: bool) -> Tensor:
    """Embeddings as float32, of length 1 where those of the view are.

    Raises:
        ValueError: a number is not finite; the message names the row.
    """
    broken = (~torch.isfinite(embeddings).all(1)).nonzero()
    if len(broken):
        raise ValueError(
            f"embedding {int(broken[0])} has a number that is not finite; expected what the view "
            "answered"
        )
    return F.normalize(embeddings.float(), dim=1) if unit else embeddings.float()


@torch.no_grad()
def beam_search(
    writer: ReportWriter, about: Tensor, evidence: Tensor, *, beam: int, longest: int
) -> Tensor:
    """The likeliest report of each row found with ``beam`` hypotheses: ``(n, T)`` int64.

    All victims and hypotheses take each step together.

    Args:
        writer: a trained one.
        about: ``(n, d)`` standardised embeddings.
        evidence: ``(n, V)``.
        beam: hypotheses kept.
        longest: words at most, before the end.
    """
    device = next(writer.parameters()).device
    about, evidence = to_device(about, device), to_device(evidence, device)
    n, words = len(about), writer.sizes[1]
    if not n:
        return torch.zeros(0, 0, dtype=torch.int64)
    rows = torch.arange(n, device=device).repeat_interleave(beam)
    about, evidence = about[rows], evidence[rows]
    scores, state = writer.begin(about, evidence)
    total = torch.full((n, beam), _NEVER, device=device)
    total[:, 0] = 0  # all hypotheses start alike: only the first counts
    ended = torch.zeros(n, beam, dtype=torch.bool, device=device)
    written = torch.zeros(n * beam, 0, dtype=torch.int64, device=device)
    only_padding = torch.full((words,), _NEVER, device=device)
    only_padding[PAD] = 0
    for place in range(longest + 1):
        chances = _writable(scores, ends=place == longest).log_softmax(1).view(n, beam, words)
        chances = torch.where(ended[..., None], only_padding, chances)
        total, best = (total[..., None] + chances).flatten(1).topk(beam, dim=1)
        parent, word = best // words, best % words
        rows = (torch.arange(n, device=device)[:, None] * beam + parent).flatten()
        written = torch.cat([written[rows], word.flatten()[:, None]], dim=1)
        ended = ended.gather(1, parent) | (word == END)
        if ended.all():
            break
        scores, state = writer.proceed(word.flatten(), state[:, rows], about, evidence)
    return written.view(n, beam, -1)[:, 0].cpu()


@torch.no_grad()
def _follow(
    writer: ReportWriter,
    about: Tensor,
    evidence: Tensor,
    pick: Callable[[Tensor], Tensor],
    longest: int,
) -> Tensor:
    """One word after the other, each as ``pick`` chooses from the scores: ``(n, T)`` int64."""
    device = next(writer.parameters()).device
    about, evidence = to_device(about, device), to_device(evidence, device)
    scores, state = writer.begin(about, evidence)
    ended = torch.zeros(len(about), dtype=torch.bool)
    written = []
    for place in range(longest + 1):
        word = pick(_writable(scores, ends=place == longest)).masked_fill(ended, PAD)
        written.append(word)
        ended |= word == END
        if ended.all():
            break
        scores, state = writer.proceed(word.to(device), state, about, evidence)
    return torch.stack(written, dim=1)


def _writable(scores: Tensor, *, ends: bool) -> Tensor:
    """Scores with padding and the unknown word out of reach, or all but the end."""
    scores = scores.float().clone()
    scores[:, [PAD, UNKNOWN]] = _NEVER
    if ends:
        scores[:, UNKNOWN + 1 :] = _NEVER
    return scores


def _present(report: Tensor, words: int) -> Tensor:
    found = torch.zeros(len(report), words, dtype=torch.bool).scatter_(1, report, True)
    found[:, : UNKNOWN + 1] = False
    return found
