"""Photographs that ship inside scikit-image and scikit-learn, as upright RGB arrays."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

Pixels = NDArray[np.uint8]


@lru_cache(maxsize=1)
def photographs() -> dict[str, Pixels]:
    """Name → (h, w, 3); fourteen, from 451 × 300 to 1411 × 1411."""
    from skimage import data
    from sklearn.datasets import load_sample_image

    colored = ("astronaut", "chelsea", "coffee", "rocket", "hubble_deep_field", "retina")
    found = {name: getattr(data, name)() for name in (*colored, "immunohistochemistry")}
    found["motorcycle"] = data.stereo_motorcycle()[0]
    for name in ("china.jpg", "flower.jpg"):
        found[name] = load_sample_image(name)
    for name in ("camera", "brick", "grass", "coins"):
        found[name] = np.repeat(getattr(data, name)()[..., None], 3, axis=2)
    return {name: np.ascontiguousarray(a[..., :3], np.uint8) for name, a in found.items()}
