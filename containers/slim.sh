#!/bin/sh
# slim.sh SITE_PACKAGES PYTHON: remove from installed packages what no run reads, and compile what runs
# import. Run where the packages were installed, before they are copied into the image.
set -eu
site=$1
python=$2

# Headers and the compiler's library are for building extensions of TensorFlow.
rm -rf "$site"/tensorflow/include "$site"/tensorflow/xla_aot_runtime_src "$site"/clang
# Tests of the packages, with their data. Nothing else imports them.
find "$site" -type d -name tests -prune -exec rm -rf {} +

# pip did not compile: a run imports a quarter of the 20 000 modules. These are compiled here, by
# importing them, as the image may be read-only at run time; matplotlib's list of fonts is made, too.
find "$site" -type d -name __pycache__ -prune -exec rm -rf {} +
cd /tmp
MPLCONFIGDIR="$(dirname "$python")/../matplotlib" KERAS_HOME=/tmp/slim NIPYPE_CONFIG_DIR=/tmp/slim \
    MPL_IGNORE_SYSTEM_FONTS=1 NO_ET=1 TF_CPP_MIN_LOG_LEVEL=2 CUDA_VISIBLE_DEVICES=-1 "$python" - <<'PYTHON'
import ants, bids, jinja2, keras, markupsafe, matplotlib.pyplot, nibabel
import numpy, pandas, psutil, rich, rich.logging, rich.progress, scipy.ndimage
import scipy.optimize, scipy.spatial.transform, sqlalchemy, tensorflow, threadpoolctl, tomli_w, yaml
import nipype.pipeline.engine, nipype.pipeline.plugins, nipype.interfaces.utility

# What Keras and TensorFlow load only once a network runs.
network = keras.Sequential([keras.layers.Input((4, 4, 4, 1)), keras.layers.Conv3D(1, 3)])
network.compile()
network.predict(numpy.zeros((1, 4, 4, 4, 1), 'float32'), verbose=0)
PYTHON
rm -rf /tmp/slim
