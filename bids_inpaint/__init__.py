"""Fill white-matter lesions in T1-weighted images of a BIDS dataset."""

import os

# By default TensorFlow uses oneDNN only on processors with AVX-512; on others, a prediction
# without it takes three times as long. TensorFlow reads this when it is loaded, by `import keras`
# wherever it stands first.
os.environ.setdefault('TF_ENABLE_ONEDNN_OPTS', '1')

__version__ = '0.3.0'
