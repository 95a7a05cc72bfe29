"""Report reconstruction measured: its training loop, its beam, and how far it comes on Open-i."""

from __future__ import annotations

import torch
from timing import against_bare, timed

from medpriv import attacks, data, deployment, metrics
from medpriv.data.cohort import DataError
from medpriv.data.sources.synthetic_reports import make_reports
from medpriv.models import build_target
from medpriv.models.writers import ReportWriter, Vocabulary, packed, writing_loss
from medpriv.runtime.seeds import seeded, torch_rng
from medpriv.training.loop import Recipe

WORDS = 40  # to which Open-i's reports are cut
LEARNED = 7_000  # texts sent to learn from; as many, and as long, as five minutes allow
LONG = Recipe(epochs=9, batch_size=16, learning_rate=4e-3, weight_decay=1e-2)


def training_loop() -> list[dict[str, object]]:
    """The decoder's training loop against the bare passes and steps on the same reports."""
    texts = tuple(make_reports(640, seed=0)["text"])
    vocabulary = Vocabulary.of(texts)
    report = vocabulary.table(texts, longest=60)
    report = report[(report != 0).all(1)]  # of one length, so that neither side pads
    draw = torch_rng(0, "bench")
    rows = packed(
        torch.randn(len(report), 384, generator=draw),
        torch.randn(len(report), len(vocabulary), generator=draw),
        report,
    )

    def fresh() -> ReportWriter:
        with seeded(0, "bench"):
            return ReportWriter(384, len(vocabulary))

    first, second = against_bare(
        fresh, rows, report, writing_loss, batch_size=16, lengths=(report != 0).sum(1)
    )
    said = f"the bare passes and steps; {2 * report.numel() / first:,.0f} tokens/s"
    return [{"what": "training loop of the decoder", "ours": first, "peer": second, "is": said}]


def on_openi() -> list[dict[str, object]]:
    """Truly unseen reports of Open-i, cut to 40 words: nearest report, decoder, corrector."""
    try:
        cohort = data.load_reports("openi", profile="full", seed=0)
    except (DataError, OSError) as error:
        print(f"rows on openi are left out: {error}")
        return []
    # Nobody trained this encoder on the members, so the attacker may own them and all the others.
    parts = (cohort.members, cohort.auxiliary, cohort.test)
    owned = [data.first_words(part, WORDS) for part in parts]
    left = data.first_words(cohort.victims, WORDS)
    for part in owned:
        left = data.unseen_reports(left, part)
    own, victims, who = tuple(t for part in owned for t in part.x), left.x, left.patient
    view = deployment.deploy(build_target(cohort), expose="embedding")
    spent, decoder = timed(
        lambda: attacks.fit_report_decoder(view, own, queries=LEARNED, recipe=LONG, device="cpu")
    )
    there = view.intercept(victims)
    known = decoder.embeddings[: len(decoder.own)]
    nearest = attacks.nearest_report(decoder.own, known, there)
    batch, guess = timed(lambda: decoder.guess(there))
    alone, same = timed(lambda: tuple(decoder.guess(row[None])[0] for row in there))
    agree = metrics.exact_match(guess, same).mean()
    steps, states = timed(lambda: attacks.correct_reports(decoder, view, there))

    def said(found: tuple[str, ...]) -> str:
        f1 = metrics.token_f1(victims, found)
        gain = metrics.difference(f1, metrics.token_f1(victims, nearest), who)
        exact = metrics.mean_estimate(metrics.exact_match(victims, found), who)
        return f"F1 {metrics.mean_estimate(f1, who)}, over nearest {gain}, exact {exact}"

    nothing = float("nan")
    rows = [
        {"what": f"nearest of {len(own)} reports, {len(victims)} victims", "ours": nothing,
         "peer": nothing, "is": said(nearest)},
        {"what": f"decoder, {LEARNED:,} queries, training included", "ours": spent, "peer": 300.0,
         "is": f"the 5 minutes asked for; {said(guess)}"},
        {"what": "beam search, all victims in one batch", "ours": batch, "peer": alone,
         "is": f"one at a time; {agree:.0%} the same text"},
    ]  # fmt: skip
    for state in states:
        rows.append(
            {"what": f"corrector, {state.queries} queries a victim",
             "ours": steps * state.queries / states[-1].queries, "peer": nothing,
             "is": f"{said(state.reports)}, cosine {state.closeness.mean():.3f}"}
        )  # fmt: skip
    return rows


PARTS = (training_loop, on_openi)
