"""Makes every Python of a job of nipype's SLURM plugin the tiny app; found through PYTHONPATH."""

import sys

if any('batch' in argument for argument in sys.argv) or 'batch' in ' '.join(sys.orig_argv):
    import tiny_app

    tiny_app.replace_all()
