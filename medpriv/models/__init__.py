"""Target models, the decoders that invert them, and splitting any of them by layer name."""

from medpriv.models.contract import as_logits
from medpriv.models.decoders import PixelShuffleDecoder, solve_linear_path
from medpriv.models.losses import distance_correlation, total_variation
from medpriv.models.reports import PretrainedReportClassifier, ReportEncoder
from medpriv.models.split import back, front, split_names
from medpriv.models.targets import build_target

__all__ = [
    "PixelShuffleDecoder",
    "PretrainedReportClassifier",
    "ReportEncoder",
    "as_logits",
    "back",
    "build_target",
    "distance_correlation",
    "front",
    "solve_linear_path",
    "split_names",
    "total_variation",
]
