# SPDX-License-Identifier: Apache-2.0
"""Adam on TensorFlow's fused kernel."""

import keras
import tensorflow as tf


class FusedAdam(keras.optimizers.Adam):
    """Moves each variable and both of its moments in one pass over their memory.

    Keras 3 composes the same update of a dozen operations a variable, each of which goes through that memory.

    Source: Kingma and Ba, Adam (ICLR 2015), algorithm 1 and the end of section 2, where the learning rate
    takes in the corrections of the moments.
    """

    def update_step(
        self, gradient: tf.Tensor, variable: tf.Variable | keras.Variable, learning_rate: tf.Tensor
    ) -> None:
        """Takes one step of one variable."""
        index = self._get_variable_index(variable)
        moved, momentum, velocity = (
            each.value if isinstance(each, keras.Variable) else each
            for each in (variable, self._momentums[index], self._velocities[index])
        )
        step = tf.cast(self.iterations.value + 1, moved.dtype)
        tf.raw_ops.ResourceApplyAdam(
            var=moved.handle,
            m=momentum.handle,
            v=velocity.handle,
            beta1_power=tf.pow(tf.cast(self.beta_1, moved.dtype), step),
            beta2_power=tf.pow(tf.cast(self.beta_2, moved.dtype), step),
            lr=tf.cast(learning_rate, moved.dtype),
            beta1=self.beta_1,
            beta2=self.beta_2,
            epsilon=self.epsilon,
            grad=tf.cast(gradient, moved.dtype),
        )
