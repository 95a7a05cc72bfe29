"""What every other room stands on: profile, seeds, device, progress, cache.

Nothing here runs at import: no seed is set, no folder is made, no device is touched.
"""

from medpriv.runtime.seeds import torch_rng

__all__ = ["torch_rng"]
