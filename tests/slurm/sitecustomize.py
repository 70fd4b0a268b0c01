"""Makes a Python of a job of nipype's SLURM plugin the tiny app; found through PYTHONPATH.

Steps that save a file are not replaced: they load, and need, what they do in truth.
"""

import sys

_script = ' '.join(sys.orig_argv)
if '/batch/' in _script and 'derivatives_wf_ds_' not in _script:
    import tiny_app

    tiny_app.replace_all()
