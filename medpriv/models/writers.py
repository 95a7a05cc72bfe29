"""A network that writes a report, word by word, about an embedding; and the words it knows."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor, nn
from torch.nn import functional as F

#: What is no word: padding, the end of a report, and a word that nobody taught.
PAD, END, UNKNOWN = 0, 1, 2
_SPECIAL = ("<pad>", "<end>", "<unknown>")
# A number with its date or decimal marks, a word, or one other sign.
_TOKEN = re.compile(r"\d+(?:[.,/-]\d+)*|[^\W\d_]+(?:['’][^\W\d_]+)*|[^\w\s]")
_NO_SPACE_BEFORE = re.compile(r" ([.,:;)!?%])")
# But not between two numbers, which would become one.
_NO_SPACE_AROUND = re.compile(r"(?<=[^\W\d_]) - (?=\w)|(?<=\w) - (?=[^\W\d_])")


@dataclass(frozen=True)
class Vocabulary:
    """The words a writer can write, and their numbers.

    Attributes:
        words: word i has number i; the first three are no words, see ``PAD``.
    """

    words: tuple[str, ...]

    @classmethod
    def of(cls, texts: Iterable[str], *, most: int = 8000) -> Vocabulary:
        """All words, numbers and signs of some texts, in either case, the most common first.

        Args:
            texts: the attacker's own.
            most: rarer ones beyond this number are left out, and read as unknown.

        Raises:
            ValueError: there is no word in the texts.
        """
        counts = Counter(word for text in texts for word in _TOKEN.findall(text))
        if not counts:
            raise ValueError("no word stands in these texts; expected at least one report")
        return cls((*_SPECIAL, *(word for word, _ in counts.most_common(most))))

    def __len__(self) -> int:
        return len(self.words)

    @cached_property
    def _numbers(self) -> dict[str, int]:
        return {word: number for number, word in enumerate(self.words)}

    def numbers(self, text: str, *, longest: int) -> list[int]:
        """A text as numbers, ``END`` last; cut to ``longest`` words before it."""
        known = self._numbers
        return [known.get(word, UNKNOWN) for word in _TOKEN.findall(text)[:longest]] + [END]

    def table(self, texts: Sequence[str], *, longest: int = 128) -> Tensor:
        """Texts as numbers ``(n, T)`` int64, filled up with ``PAD``; T ≤ longest + 1."""
        rows = [torch.tensor(self.numbers(text, longest=longest)) for text in texts]
        if not rows:
            return torch.empty(0, 1, dtype=torch.int64)
        return nn.utils.rnn.pad_sequence(rows, batch_first=True, padding_value=PAD)

    def text(self, numbers: Iterable[int]) -> str:
        """Numbers as a text, up to the first ``END``, spaced as a report is.

        :meth:`numbers` of it gives the same words again.
        """
        words = []
        for number in numbers:
            if number == END:
                break
            if number > UNKNOWN:
                words.append(self.words[number])
        spaced = _NO_SPACE_BEFORE.sub(r"\1", " ".join(words)).replace("( ", "(")
        return _NO_SPACE_AROUND.sub("-", spaced)


class ReportWriter(nn.Module):
    """Writes a report about an embedding: a recurrent network with the embedding as its prefix.

    The projected embedding stands at position 0, the report follows, and at each place the next
    word is predicted from all before it (the prefix of Li et al. 2023, GEIA, Findings of ACL, on
    a gated recurrent unit in the place of a large language model, so that it trains on a CPU in
    seconds). To the network's own score of each word comes the *evidence* that the embedding gives
    for the word, weighed by a gate that may close where grammar decides.

    Args:
        embedding: d, numbers in an embedding.
        words: V, size of the vocabulary.
        width: of a word's vector.
        hidden: of the recurrent state.
    """

    def __init__(self, embedding: int, words: int, *, width: int = 128, hidden: int = 256) -> None:
        super().__init__()
        self.sizes = (embedding, words)
        self.prefix = nn.Linear(embedding, width)
        self.start = nn.Linear(embedding, hidden)
        self.words = nn.Embedding(words, width, padding_idx=PAD)
        nn.init.normal_(self.words.weight, std=width**-0.5)
        # Without biases: the prefix can give them, and their gradients cost a quarter of a step.
        self.recurrent = nn.GRU(width, hidden, bias=False, batch_first=True)
        self.about = nn.Linear(embedding, hidden)
        self.dropout = nn.Dropout(0.1)
        self.output = nn.Linear(hidden, width)
        self.common = nn.Parameter(torch.zeros(words))
        self.trust = nn.Parameter(torch.full((words,), 0.5))
        self.gate = nn.Linear(hidden, 1)

    def forward(self, rows: Tensor) -> Tensor:
        """Embedding, evidence and report in one row → a score of each word at each place.

        Args:
            rows: ``(n, d + V + T)``, see ``packed``.

        Returns:
            ``(n, L, V)``: at place t the logits of word t, from the words before it; L is the
            length of the longest report among the rows, its end included.
        """
        d, words = self.sizes
        about, evidence = rows[:, :d], rows[:, d : d + words]
        report = rows[:, d + words :].long()
        longest = max(1, int((report != PAD).sum(1).max()))
        state, _ = self.recurrent(
            torch.cat([self.prefix(about)[:, None], self._seen(report[:, : longest - 1])], dim=1),
            self._first_state(about),
        )
        return self._scores(state, about, evidence)

    def begin(self, about: Tensor, evidence: Tensor) -> tuple[Tensor, Tensor]:
        """The scores of the first word, ``(n, V)``, and the state after the prefix."""
        return self._step(self.prefix(about)[:, None], self._first_state(about), about, evidence)

    def proceed(
        self, last: Tensor, state: Tensor, about: Tensor, evidence: Tensor
    ) -> tuple[Tensor, Tensor]:
        """The scores of the next word, ``(n, V)``, after the words ``last``, ``(n,)`` int64."""
        return self._step(self._seen(last[:, None]), state, about, evidence)

    def _step(
        self, seen: Tensor, state: Tensor, about: Tensor, evidence: Tensor
    ) -> tuple[Tensor, Tensor]:
        found, state = self.recurrent(seen, state)
        return self._scores(found, about, evidence)[:, 0], state

    def _first_state(self, about: Tensor) -> Tensor:
        return torch.tanh(self.start(about))[None].contiguous()

    def _seen(self, report: Tensor) -> Tensor:
        return self.words(report) * self.words.embedding_dim**0.5

    def _scores(self, state: Tensor, about: Tensor, evidence: Tensor) -> Tensor:
        query = self.output(self.dropout(state + self.about(about)[:, None]))
        own = F.linear(query, self.words.weight, self.common)
        weight = 2 * torch.sigmoid(self.gate(state))
        given = (self.trust * evidence)[:, None]
        return torch.baddbmm(own, weight.to(own.dtype), given.to(own.dtype))


def packed(about: Tensor, evidence: Tensor, report: Tensor) -> Tensor:
    """Embedding ``(n, d)``, evidence ``(n, V)`` and report ``(n, T)`` as one row, float32."""
    return torch.cat([about.float(), evidence.float(), report.float()], dim=1)


def writing_loss(scores: Tensor, report: Tensor) -> Tensor:
    """Cross-entropy of the words of each report, the mean over words; padding does not count.

    Args:
        scores: ``(n, L, V)``, of :class:`ReportWriter`.
        report: ``(n, T)`` int64, T at least L.
    """
    wanted = report[:, : scores.shape[1]]
    return F.cross_entropy(scores.flatten(0, 1), wanted.flatten(), ignore_index=PAD)
