"""What a report states, read from its embedding without writing it: a linear map each.

The attacker looks up what each of the texts states that he has sent, and learns which embedding
goes with which statement. It helps the corrector (:func:`medpriv.attacks.correct_reports`) to
choose between guesses that lie about equally close. It is a ridge regression, not
:func:`medpriv.attacks.fit_fact_reader`, since that has no closed form for what a map says of a text
that was left out, from which the bar of each statement comes.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from medpriv.attacks.reports.report_reconstruction import ReportDecoder, as_shared
from medpriv.attacks.reports.word_evidence import WordEvidence, fit_word_evidence
from medpriv.data.statements import Statement

Read = Callable[[Sequence[str]], Sequence[frozenset[Statement]]]
_LEAST = 0.02  # of the texts; what is rarer is not learned from a few hundred


@dataclass(frozen=True)
class StatementReader:
    """Embeddings → how likely each statement is; made by :func:`.fit_statement_reader`.

    Attributes:
        statements: S of them, those that are common enough to be learned.
    """

    statements: tuple[Statement, ...]
    _read: Read
    _evidence: WordEvidence
    _bar: Tensor
    _unit: bool

    def evidence(self, embeddings: Tensor) -> Tensor:
        """``(n, d)`` as the view shows them → ``(n, S)`` float32, how much speaks for each.

        In log-odds, and above 0 for as many reports as state it.

        Raises:
            ValueError: the width is another one, or a number is not finite.
        """
        shared = as_shared(embeddings, unit=self._unit, width=self._evidence.width)
        return self._evidence.of(shared) - self._bar

    def guess(self, embeddings: Tensor) -> list[frozenset[Statement]]:
        """What each embedding speaks for: the statements whose :meth:`evidence` is above 0."""
        return [
            frozenset(one for one, above in zip(self.statements, row, strict=True) if above)
            for row in (self.evidence(embeddings) > 0).tolist()
        ]

    def stated(self, texts: Sequence[str]) -> Tensor:
        """Which of the statements stand in each text: ``(n, S)`` float32 of 0 and 1."""
        return _table(self._read(texts), self.statements)


def fit_statement_reader(
    decoder: ReportDecoder, read: Read, *, without: Collection[str] = ()
) -> StatementReader:
    """Learn to read statements from all that was sent to fit a decoder; it costs no query.

    Args:
        decoder: fitted through the view whose embeddings are to be read.
        read: texts → what each states, such as :func:`medpriv.data.report_statements`.
        without: kinds to leave out, such as those that slot readers read.
    """
    said = read(decoder.sent)
    counts = Counter(one for some in said for one in some if one[0] not in without)
    common = sorted(one for one, count in counts.items() if count >= _LEAST * len(said))
    present = _table(said, common).bool()
    evidence, left_out = fit_word_evidence(decoder.embeddings, present)
    ranked = left_out.sort(0, descending=True).values
    bar = ranked.gather(0, present.sum(0, keepdim=True).clamp(max=len(ranked) - 1))[0]
    return StatementReader(tuple(common), read, evidence, bar, decoder.unit)


def _table(said: Sequence[frozenset[Statement]], statements: Sequence[Statement]) -> Tensor:
    rows = [[float(statement in one) for statement in statements] for one in said]
    return torch.tensor(rows).view(len(said), len(statements))
