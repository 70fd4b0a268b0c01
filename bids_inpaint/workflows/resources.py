"""Memory that each step is scheduled with."""

# Peak memory of the process of each node, in GB, measured on heads of 160 x 192 x 192 and
# 288 x 288 x 181 voxels (docs/methods.md).
MEMORY_GB = {
    'conform': 0.6,
    'register': 1.2,
    'denoise': 1.2,
    'to_template': 1.0,
    'brain_mask': 1.2,
    'bias_field': 1.2,
    'normalise': 0.8,
    'fill_region': 1.0,
    'inpaint': 2.0,
    'composite': 1.0,
    'add_change': 1.0,
    'add_fill': 1.0,
    'to_native': 0.6,
    'measure_quality': 1.0,
    'save': 0.2,
}
