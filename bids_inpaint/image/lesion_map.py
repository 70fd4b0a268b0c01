"""Connected lesions of a lesion map."""

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

# Voxels that share a face, an edge or a corner belong to one lesion.
_CONNECTIVITY = ndimage.generate_binary_structure(3, 3)


def drop_specks(lesion_mask: NDArray[np.bool_], min_size_vox: float) -> NDArray[np.bool_]:
    """Leave out lesions of fewer voxels; (X, Y, Z) bool."""
    labels, _ = label_lesions(lesion_mask)
    large = np.bincount(labels.ravel()) >= min_size_vox
    large[0] = False
    return np.asarray(large[labels])


def label_lesions(lesion_mask: NDArray[np.bool_]) -> tuple[NDArray[np.int32], int]:
    """Label connected lesions from 1, (X, Y, Z) int32, 0 outside them; and count them."""
    labels, number = ndimage.label(lesion_mask, _CONNECTIVITY)
    return np.asarray(labels, dtype=np.int32), int(number)


def count_lesions(lesion_mask: NDArray[np.bool_]) -> int:
    """Count connected lesions."""
    return label_lesions(lesion_mask)[1]
