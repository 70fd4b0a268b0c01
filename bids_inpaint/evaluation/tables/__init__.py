"""Tables of the evaluation: a module each, with one function `make` of the set-up."""

# Letter of a table, as `--only` takes it, and its module.
TABLES = {
    'a': 'reconstruction',
    'b': 'inpainting',
    'c': 'segmentation',
    'd': 'lesion_maps',
    'e': 'registration',
    'f': 'timing',
    'g': 'generality',
    'h': 'repeated_scans',
}
