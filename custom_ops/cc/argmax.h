// SPDX-License-Identifier: Apache-2.0
// The class of one pixel, by looking at all its logits. NaN never wins, the first class does where nothing is larger
// than the lowest float: so says tf.argmax.
#ifndef PANPIPE_CUSTOM_OPS_CC_ARGMAX_H_
#define PANPIPE_CUSTOM_OPS_CC_ARGMAX_H_

#include <cstdint>
#include <limits>

#include "bilinear.h"
#include "host_device.h"

namespace panpipe {

// The class of the largest of the values value_of(0) .. value_of(classes - 1).
template <typename ValueOf>
PANPIPE_HOST_DEVICE inline int32_t Argmax(int64_t classes, const ValueOf& value_of) {
  float best = std::numeric_limits<float>::lowest();
  int32_t label = 0;
  for (int64_t k = 0; k < classes; ++k) {
    const float value = value_of(k);
    if (value > best) {
      best = value;
      label = static_cast<int32_t>(k);
    }
  }
  return label;
}

// The class at one place between the pixels of logits [height, width, classes].
PANPIPE_HOST_DEVICE inline int32_t ResizedArgmax(const float* logits, int64_t width, int64_t classes, const Tap& down,
                                                 const Tap& across) {
  const float* top = logits + down.lower * width * classes;
  const float* bottom = logits + down.upper * width * classes;
  const int64_t left = across.lower * classes, right = across.upper * classes;
  return Argmax(classes, [=](int64_t k) {
    const float above = Lerp(top[left + k], top[right + k], across.lerp);
    const float below = Lerp(bottom[left + k], bottom[right + k], across.lerp);
    return Lerp(above, below, down.lerp);
  });
}

}  // namespace panpipe

#endif  // PANPIPE_CUSTOM_OPS_CC_ARGMAX_H_
