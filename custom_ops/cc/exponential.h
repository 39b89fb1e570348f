// SPDX-License-Identifier: Apache-2.0
// The numbers of the softmax over slots that model/postprocess/mask_pixels.py specifies.
#ifndef PANPIPE_CUSTOM_OPS_CC_EXPONENTIAL_H_
#define PANPIPE_CUSTOM_OPS_CC_EXPONENTIAL_H_

#include <cstdint>

namespace panpipe {

constexpr float kLargestLogit = 0x1p100f;
constexpr float kLeastExponent = -20.0f;
constexpr int kParts = 16;  // partial sums of a softmax
constexpr double kSteps = 0x1p24;  // in which probabilities are counted

// NaN becomes the smallest logit.
inline float Clamped(float logit) {
  logit = logit > -kLargestLogit ? logit : -kLargestLogit;
  return logit < kLargestLogit ? logit : kLargestLogit;
}

// Adds up partial sums, in place.
inline float AddUp(float* parts) {
  for (int distance = kParts / 2; distance > 0; distance /= 2) {
    for (int i = 0; i < distance; ++i) parts[i] += parts[i + distance];
  }
  return parts[0];
}

}  // namespace panpipe

#endif  // PANPIPE_CUSTOM_OPS_CC_EXPONENTIAL_H_
