"""The same job as somebody would write it with the defaults of the libraries, to compare costs.

``python benchmarks/plain_chain.py T1W OUT THREADS``: denoise, register, correct the bias field,
normalise, inpaint, write. It does not even register whole heads rightly, and fills nothing on the
grid of the source: a comparison of cost alone.
"""

import os
import sys
from pathlib import Path


def main() -> int:
    """Run the chain on one image."""
    t1w_file, out, threads = Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3]
    os.environ['ITK_GLOBAL_DEFAULT_NUMBER_OF_THREADS'] = threads
    os.environ['OMP_NUM_THREADS'] = threads
    os.environ.setdefault('TF_CPP_MIN_LOG_LEVEL', '2')
    import ants
    import nibabel as nb
    import numpy as np
    import tensorflow as tf

    from bids_inpaint.image.ants_bridge import from_ants, to_ants
    from bids_inpaint.image.template import AFFINE, load_template
    from bids_inpaint.network.card import models_folder
    from bids_inpaint.network.inference import inpaint
    from bids_inpaint.network.weights import load_weights

    tf.config.threading.set_intra_op_parallelism_threads(int(threads))
    tf.config.threading.set_inter_op_parallelism_threads(1)
    t1w = ants.image_read(str(t1w_file))
    template = load_template()
    fixed = to_ants(template.t1w, AFFINE)
    cleaned = ants.denoise_image(t1w)
    found = ants.registration(fixed, cleaned, 'Affine')
    moved = ants.apply_transforms(fixed, cleaned, found['fwdtransforms'])
    corrected = from_ants(ants.n4_bias_field_correction(moved)).data
    mask = template.brain_mask
    normalised = np.where(mask, corrected / corrected[mask].mean(), 0).astype(np.float32)
    network, card = load_weights(models_folder() / 'blind')
    network.compile(run_eagerly=True)
    window = card.architecture.window_vox
    filled = inpaint(network, normalised, mask, window_vox=window).inpainted
    out.mkdir(parents=True, exist_ok=True)
    nb.Nifti1Image(filled, AFFINE).to_filename(out / 'inpainted.nii.gz')
    return 0


if __name__ == '__main__':
    sys.exit(main())
