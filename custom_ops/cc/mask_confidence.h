// SPDX-License-Identifier: Apache-2.0
// How surely slots cover their masks: the mean probability of each slot over the pixels where it exceeds a threshold.
// Probabilities are counted as integers, so that the sum does not depend on how an image is split.
#ifndef PANPIPE_CUSTOM_OPS_CC_MASK_CONFIDENCE_H_
#define PANPIPE_CUSTOM_OPS_CC_MASK_CONFIDENCE_H_

#include <algorithm>
#include <cstdint>
#include <vector>

#include "exponential.h"

namespace panpipe {

// Sums over pixels by slot.
struct ConfidenceSums {
  explicit ConfidenceSums(int64_t slots) : steps(slots), pixels(slots) {}

  void Add(const ConfidenceSums& other) {
    for (size_t k = 0; k < steps.size(); ++k) {
      steps[k] += other.steps[k];
      pixels[k] += other.pixels[k];
    }
  }

  float Mean(size_t slot) const {
    const double mean = static_cast<double>(steps[slot]) / std::max<double>(static_cast<double>(pixels[slot]), 1.0);
    return static_cast<float>(mean / kSteps);
  }

  std::vector<int64_t> steps, pixels;
};

}  // namespace panpipe

#endif  // PANPIPE_CUSTOM_OPS_CC_MASK_CONFIDENCE_H_
