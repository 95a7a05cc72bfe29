"""Target models, the decoders that invert them, and splitting any of them by layer name."""

from medpriv.models.decoders import PixelShuffleDecoder, solve_linear_path
from medpriv.models.images import ImageCNN
from medpriv.models.losses import structural_loss, total_variation
from medpriv.models.recognisers import build_recogniser
from medpriv.models.records import RecordMLP
from medpriv.models.reports import ReportClassifier, ReportEncoder
from medpriv.models.split import back, front, split_names
from medpriv.models.targets import build_target

__all__ = [
    "ImageCNN",
    "PixelShuffleDecoder",
    "RecordMLP",
    "ReportClassifier",
    "ReportEncoder",
    "back",
    "build_recogniser",
    "build_target",
    "front",
    "solve_linear_path",
    "split_names",
    "structural_loss",
    "total_variation",
]
