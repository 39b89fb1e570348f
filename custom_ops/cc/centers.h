// SPDX-License-Identifier: Apache-2.0
// Finds the centers of instances in a heat-map at full resolution.
#ifndef PANPIPE_CUSTOM_OPS_CC_CENTERS_H_
#define PANPIPE_CUSTOM_OPS_CC_CENTERS_H_

#include <algorithm>
#include <cstdint>
#include <functional>
#include <vector>

#include "host_device.h"

namespace panpipe {

struct Center {
  int32_t y, x;
  float value;
};

struct CenterRules {
  float threshold = 0.1f;  // a center is larger than this, and than 0
  int64_t nms_kernel = 13;  // at least 1; an even window reaches further down and to the right
  int64_t keep_k = 0;       // of more centers, those above the value of this rank stay; 0 or less keeps all

  float floor() const { return threshold <= 0 ? 0 : threshold; }  // a threshold of NaN stays, and excludes all
};

// For maps that hold peaks and nothing else: every positive value is a center.
constexpr CenterRules kPositive = {/*threshold=*/0.0f, /*nms_kernel=*/1, /*keep_k=*/0};

// Whether no pixel of the window around (y, x) is larger. NaN is not.
PANPIPE_HOST_DEVICE inline bool IsPeak(const float* heatmap, int64_t height, int64_t width, int64_t y, int64_t x,
                                       int64_t nms_kernel) {
  const int64_t before = (nms_kernel - 1) / 2;
  const int64_t after = nms_kernel - 1 - before;
  const int64_t left = std::max<int64_t>(x - before, 0), right = std::min(x + after, width - 1);
  const int64_t top = std::max<int64_t>(y - before, 0), bottom = std::min(y + after, height - 1);
  const float value = heatmap[y * width + x];
  const auto row_exceeds = [=](int64_t row) {
    bool exceeds = false;
    for (int64_t i = left; i <= right; ++i) exceeds |= heatmap[row * width + i] > value;
    return exceeds;
  };
  if (row_exceeds(y)) return false;  // most slopes are refused here
  for (int64_t row = top; row <= bottom; ++row) {
    if (row_exceeds(row)) return false;
  }
  return true;
}

// Appends the peaks of rows [begin, end) in row-major order; reads half a window beyond.
inline void FindPeaks(const float* heatmap, int64_t height, int64_t width, const CenterRules& rules, int64_t begin,
                      int64_t end, std::vector<Center>* peaks) {
  const float floor = rules.floor();
  constexpr int64_t kStep = 16;  // compared without a branch: most of a heat-map lies below the threshold
  for (int64_t y = begin; y < end; ++y) {
    const float* row = heatmap + y * width;
    for (int64_t x = 0; x < width; x += kStep) {
      const int64_t stop = std::min(x + kStep, width);
      bool is_any = stop - x < kStep;
      if (!is_any) {
        int32_t above = 0;
        for (int64_t i = 0; i < kStep; ++i) above |= row[x + i] > floor;
        is_any = above != 0;
      }
      for (int64_t i = x; is_any && i < stop; ++i) {
        if (row[i] > floor && IsPeak(heatmap, height, width, y, i, rules.nms_kernel)) {
          peaks->push_back({static_cast<int32_t>(y), static_cast<int32_t>(i), row[i]});
        }
      }
    }
  }
}

// Keeps of more than keep_k centers those above the value of rank keep_k.
inline void KeepStrongest(int64_t keep_k, std::vector<Center>* centers) {
  if (keep_k <= 0 || static_cast<int64_t>(centers->size()) <= keep_k) return;
  std::vector<float> values;
  for (const Center& center : *centers) values.push_back(center.value);
  std::nth_element(values.begin(), values.begin() + keep_k - 1, values.end(), std::greater<float>());
  const float cut = values[keep_k - 1];
  centers->erase(std::remove_if(centers->begin(), centers->end(), [=](const Center& c) { return !(c.value > cut); }),
                 centers->end());
}

}  // namespace panpipe

#endif  // PANPIPE_CUSTOM_OPS_CC_CENTERS_H_
