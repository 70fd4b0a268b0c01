"""Registration of a T1w volume to the template: flattening, coarse alignment, affine."""
