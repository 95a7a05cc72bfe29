"""Writing with a trained writer: the likeliest report, or reports drawn at random.

All victims and all their hypotheses take each step together.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor
from torch.nn import functional as F

from medpriv.models.writers import END, PAD, UNKNOWN, ReportWriter, packed
from medpriv.runtime.device import to_device
from medpriv.runtime.seeds import torch_rng

_ROWS = 512  # hypotheses computed at once
_NEVER = -1e9
_ALTERNATIVES = 12  # words considered at each place
_HEAT = 0.8  # the softmax's temperature: below 1 likely words become likelier


def beam_search(
    writer: ReportWriter, about: Tensor, evidence: Tensor, *, beam: int, longest: int
) -> Tensor:
    """The likeliest report of each row: ``(n, T)`` int64 words, ``END`` at the end, then ``PAD``.

    Args:
        writer: a trained one.
        about: ``(n, d)`` standardised embeddings, see :meth:`ReportDecoder.inputs`.
        evidence: ``(n, V)`` of each word, from there.
        beam: hypotheses kept at each word.
        longest: words at most, before the end.
    """
    return _in_parts(about, evidence, beam, lambda a, e: _beam(writer, a, e, beam, longest))


def draw_reports(
    writer: ReportWriter,
    about: Tensor,
    evidence: Tensor,
    number: int,
    *,
    longest: int,
    seed: int = 0,
) -> Tensor:
    """Reports drawn at random, each word from what the writer holds possible.

    ``number`` of them for each row, ``(n, number, T)`` int64; else as for :func:`beam_search`.

    Raises:
        ValueError: the number is below 1.
    """
    if number < 1:
        raise ValueError(f"expected a number from 1 on, got {number}")
    draws = torch_rng(seed, "draws")

    def pick(scores: Tensor) -> Tensor:
        edges = (scores / _HEAT).softmax(1).cpu().cumsum(1)
        # One random number for each row; torch.multinomial draws one for each word.
        where = torch.rand(len(edges), 1, generator=draws) * edges[:, -1:]
        return torch.searchsorted(edges, where, right=True)[:, 0].clamp(max=edges.shape[1] - 1)

    def follow(a: Tensor, e: Tensor) -> Tensor:
        rows = (a.repeat_interleave(number, 0), e.repeat_interleave(number, 0))
        return _follow(writer, *rows, pick, longest)

    drawn = _in_parts(about, evidence, number, follow)
    return drawn.unflatten(0, (len(about), number))


@torch.no_grad()
def likely_words(
    writer: ReportWriter, about: Tensor, evidence: Tensor, guesses: Sequence[Sequence[int]]
) -> list[tuple[Tensor, Tensor]]:
    """At each place of each guess the words that the writer holds likeliest, and how likely.

    For each of n guesses, L numbers of words without an end: ``(L, 12)`` log-probabilities and
    ``(L, 12)`` int64 words. The rest is as for :func:`beam_search`.
    """
    if not guesses:
        return []
    rows = [torch.tensor([*guess, END]) for guess in guesses]
    table = torch.nn.utils.rnn.pad_sequence(rows, batch_first=True, padding_value=PAD)
    device = next(writer.parameters()).device
    likely = []
    for part in packed(about, evidence, table).split(64):
        scores = writer(to_device(part, device)).float()
        scores[..., : UNKNOWN + 1] = -1e9
        top = scores.log_softmax(2).topk(min(_ALTERNATIVES, scores.shape[2]), dim=2)
        likely += zip(top.values.cpu(), top.indices.cpu(), strict=True)
    return [
        (chances[: len(guess)], words[: len(guess)])
        for (chances, words), guess in zip(likely, guesses, strict=True)
    ]


def _in_parts(
    about: Tensor, evidence: Tensor, each: int, write: Callable[[Tensor, Tensor], Tensor]
) -> Tensor:
    """Some victims at a time, so that memory does not grow with them; padded to one length."""
    if not len(about):
        return torch.zeros(0, 0, dtype=torch.int64)
    size = max(1, _ROWS // each)
    parts = [write(a, e) for a, e in zip(about.split(size), evidence.split(size), strict=True)]
    longest = max(part.shape[1] for part in parts)
    return torch.cat([F.pad(part, (0, longest - part.shape[1]), value=PAD) for part in parts])


@torch.no_grad()
def _beam(writer: ReportWriter, about: Tensor, evidence: Tensor, beam: int, longest: int) -> Tensor:
    device = next(writer.parameters()).device
    about, evidence = to_device(about, device), to_device(evidence, device)
    n, words = len(about), writer.sizes[1]
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
