"""Target models, the decoders that invert them, and splitting any of them by layer name."""

from medpriv.models.decoders import PixelShuffleDecoder, solve_linear_path
from medpriv.models.losses import distance_correlation, total_variation
from medpriv.models.split import back, front, split_names
from medpriv.models.targets import build_target

__all__ = [
    "PixelShuffleDecoder",
    "back",
    "build_target",
    "distance_correlation",
    "front",
    "solve_linear_path",
    "split_names",
    "total_variation",
]
