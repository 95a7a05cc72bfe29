"""What statistics alone tell about a missing attribute: the baseline of every attack on one.

Whoever owns records of other patients can guess without asking any model. Jayaraman & Evans 2022
(CCS, arXiv 2209.01292) showed that attacks which were published as inference from the model do no
better than this, so each attack is compared with it, on the same auxiliary records.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor

from medpriv.attacks.records.candidate_values import Sensitive
from medpriv.data.cohort import Column
from medpriv.runtime.arguments import choose
from medpriv.runtime.seeds import rng

FAMILIES = ("logistic", "boosting")


def marginal_prior(records: Tensor, wanted: Sensitive) -> Tensor:
    """How common each candidate is in the attacker's records: ``(V,)`` float64, sums to 1.

    Each counts once more than it occurs (Laplace's rule): what he has not met stays possible.
    """
    counts = torch.bincount(wanted.truth(records), minlength=len(wanted)).double() + 1
    return counts / counts.sum()


@dataclass(frozen=True)
class Learned:
    """Rows of anything → how likely each of V candidates is.

    Attributes:
        seen: ``(s,)`` candidates that the attacker has met.
        unseen: what each of the others gets, by Laplace's rule 1 / (his rows + V).
        size: V.
        classifier: of the s candidates; None where he has met a single one.
    """

    seen: np.ndarray
    unseen: float
    size: int
    classifier: Any

    def guess(self, rows: Any) -> Tensor:
        """P(candidate | row), for n rows as the classifier takes them: ``(n, V)`` float64."""
        share = np.ones((len(rows), 1))
        if self.classifier is not None and len(rows):
            share = self.classifier.predict_proba(rows)
        result = np.full((len(rows), self.size), self.unseen)
        result[:, self.seen] = (1 - self.unseen * (self.size - len(self.seen))) * share
        return torch.from_numpy(result)


@dataclass(frozen=True)
class Imputer:
    """Records → how likely each candidate is; made by :func:`.fit_imputer`.

    Attributes:
        family: the kind of classifier that was chosen, or ``constant`` where the attacker's
            records hold a single value.
        with_label: whether it wants y.
    """

    family: str
    with_label: bool
    _wanted: Sensitive
    _learned: Learned

    def guess(self, records: Tensor, y: Tensor | None = None) -> Tensor:
        """P(candidate | the rest of the record, and y): ``(n, V)`` float64, rows sum to 1.

        ``(n, columns)`` float32 records, whose sensitive columns are never read; ``(n,)`` int64 y.

        Raises:
            ValueError: y is given where the imputer was fitted without, or the other way round.
        """
        if (y is not None) != self.with_label:
            wants = "needs y" if self.with_label else "was fitted without y and takes none"
            raise ValueError(f"this imputer {wants}")
        return self._learned.guess(_table(records, self._wanted, y))


def fit_imputer(
    columns: Sequence[Column],
    wanted: Sensitive,
    records: Tensor,
    y: Tensor | None = None,
    *,
    truth: Tensor | None = None,
    family: Literal["auto", "logistic", "boosting"] = "auto",
    seed: int = 0,
) -> Imputer:
    """Learn an attribute from the rest of the record, and from y where the attacker has it.

    Args:
        columns: of the cohort.
        wanted: the attribute.
        records: ``(n, columns)`` float32, the attacker's own. Missing known values (NaN) are
            filled by the median or most common value.
        y: ``(n,)`` int64 labels of these records, if the attacker will have the victims' too.
        truth: ``(n,)`` int64, instead of what the records hold.
        family: a logistic regression, gradient-boosted trees, or whichever has the lower
            cross-validated log loss on the attacker's records.
        seed: decides the folds and the trees.

    Raises:
        ValueError: there are no records, lengths differ, or the family is unknown.
    """
    truth = wanted.truth(records) if truth is None else truth
    if not len(records) or len(truth) != len(records) or (y is not None and len(y) != len(records)):
        raise ValueError(
            f"expected a value, and a y if any, for each of at least one record; got "
            f"{len(records)} records, {len(truth)} values and {None if y is None else len(y)} y"
        )
    choose(family, ("auto", *FAMILIES), "family")
    seen, counts = np.unique(truth.numpy(), return_counts=True)
    met = (seen, 1 / (len(records) + len(wanted)), len(wanted))
    if len(seen) == 1:
        return Imputer("constant", y is not None, wanted, Learned(*met, None))
    table = _table(records, wanted, y)
    state = int(rng(seed, "imputer").integers(2**31))
    kinds = _kinds(columns, wanted, y is not None)
    made = {name: _pipeline(name, kinds, state) for name in FAMILIES}
    if family == "auto":
        family = _better(made, table, truth.numpy(), int(counts.min()), state)
    classifier = made[family].fit(table, truth.numpy())
    return Imputer(family, y is not None, wanted, Learned(*met, classifier))


def _better(
    made: dict[str, Any], table: np.ndarray, truth: np.ndarray, rarest: int, state: int
) -> str:
    if rarest < 3:  # not in every fold; few records are for the simpler of the two
        return FAMILIES[0]
    from sklearn.model_selection import StratifiedKFold, cross_val_score

    folds = StratifiedKFold(3, shuffle=True, random_state=state)
    loss = {
        name: -cross_val_score(one, table, truth, cv=folds, scoring="neg_log_loss").mean()
        for name, one in made.items()
    }
    return min(loss, key=loss.__getitem__)


def _table(records: Tensor, wanted: Sensitive, y: Tensor | None) -> np.ndarray:
    """The known columns, y behind them; categories of y are known by then."""
    known = records[:, wanted.rest(records.shape[1])].double().numpy()
    return known if y is None else np.column_stack([known, y.numpy()])


def _kinds(columns: Sequence[Column], wanted: Sensitive, with_label: bool) -> list[bool]:
    """Whether each column of the table is categorical."""
    kinds = [columns[position].categorical for position in wanted.rest(len(columns))]
    return kinds + [True] * with_label


def _pipeline(family: str, kinds: Sequence[bool], state: int) -> Any:
    named = [position for position, kind in enumerate(kinds) if kind]
    if family == "boosting":
        from sklearn.ensemble import HistGradientBoostingClassifier

        return HistGradientBoostingClassifier(
            categorical_features=named, max_iter=80, learning_rate=0.08, min_samples_leaf=10,
            random_state=state,
        )  # fmt: skip
    from sklearn.compose import ColumnTransformer
    from sklearn.impute import SimpleImputer
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import OneHotEncoder, StandardScaler

    numeric = [position for position, kind in enumerate(kinds) if not kind]
    encode = ColumnTransformer([
        ("named", make_pipeline(SimpleImputer(strategy="most_frequent"),
                                OneHotEncoder(handle_unknown="ignore")), named),
        ("numeric", make_pipeline(SimpleImputer(strategy="median"), StandardScaler()), numeric),
    ])  # fmt: skip
    return make_pipeline(encode, LogisticRegression(max_iter=300))
