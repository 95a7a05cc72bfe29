"""Target models, the decoders that invert them, and splitting any of them by layer name."""

from medpriv.models.decoders import PixelShuffleDecoder, solve_linear_path
from medpriv.models.images import ImageCNN
from medpriv.models.losses import distance_correlation, structural_loss, total_variation
from medpriv.models.recognisers import build_recogniser
from medpriv.models.records import RecordMLP
from medpriv.models.reports import ReportClassifier, ReportEncoder, TokenFeatures
from medpriv.models.split import back, front, split_names
from medpriv.models.targets import build_target
from medpriv.models.writers import ReportWriter, Vocabulary, packed, writing_loss

__all__ = [
    "ImageCNN",
    "PixelShuffleDecoder",
    "RecordMLP",
    "ReportClassifier",
    "ReportEncoder",
    "ReportWriter",
    "TokenFeatures",
    "Vocabulary",
    "back",
    "build_recogniser",
    "build_target",
    "distance_correlation",
    "front",
    "packed",
    "solve_linear_path",
    "split_names",
    "structural_loss",
    "total_variation",
    "writing_loss",
]
