"""Learning rate over steps."""

from typing import Any

import keras
from keras import ops

_WARM_UP_STEPS = 100


@keras.saving.register_keras_serializable('bids_inpaint')
class ConstantThenLinear(keras.optimizers.schedules.LearningRateSchedule):
    """Rise over 100 steps, stay, and fall linearly to zero over the last steps.

    While it is constant, a training can be extended.
    """

    def __init__(self, learning_rate: float, steps: int, decay_share: float) -> None:
        self.learning_rate = learning_rate
        self.steps = steps
        self.decay_share = decay_share

    def __call__(self, step: Any) -> Any:
        """Learning rate at `step`."""
        step = ops.cast(step, 'float32')
        decay_steps = max(self.steps * self.decay_share, 1.0)
        falling = ops.minimum((self.steps - step) / decay_steps, 1.0)
        rising = ops.minimum((step + 1) / _WARM_UP_STEPS, 1.0)
        return self.learning_rate * ops.maximum(ops.minimum(falling, rising), 0.0)

    def get_config(self) -> dict[str, float]:
        """Arguments of the constructor."""
        return {
            'learning_rate': self.learning_rate,
            'steps': self.steps,
            'decay_share': self.decay_share,
        }
