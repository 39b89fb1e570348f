// SPDX-License-Identifier: Apache-2.0
// Looks up the center nearest to a point: among all of them, or in the lists that grouping.h makes. Plain pointers, so
// that the centers may as well lie on a GPU.
#ifndef PANPIPE_CUSTOM_OPS_CC_NEAREST_H_
#define PANPIPE_CUSTOM_OPS_CC_NEAREST_H_

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <limits>

#include "host_device.h"

namespace panpipe {

struct CenterPoints {
  // The index of the center nearest to (y, x) among `size` candidates, or where there is no list, among so many first
  // centers. It is the lowest among equals, and 0 where no distance is finite.
  PANPIPE_HOST_DEVICE int32_t Search(float y, float x, const int32_t* candidates, int64_t size) const {
    float least = std::numeric_limits<float>::max();
    int32_t nearest = 0;
    for (int64_t i = 0; i < size; ++i) {
      const int32_t index = candidates ? candidates[i] : static_cast<int32_t>(i);
      const float down = y - ys[index], across = x - xs[index];
      const float distance = down * down + across * across;
      if (distance < least) {
        least = distance;
        nearest = index;
      }
    }
    return nearest;
  }

  const float *ys, *xs, *values;  // of each center
};

struct CenterLists : CenterPoints {
  static constexpr float kBorder = 1024;  // pixels that tiles at the edge reach beyond the image

  struct List {
    int64_t begin, size;  // within `indices`, ascending
  };

  // The index of the center nearest to (y, x), the lowest among equals, and 0 where no distance is finite.
  int32_t Find(float y, float x) const {
    if (!std::isfinite(y) || !std::isfinite(x)) return 0;
    if (!(y >= -kBorder && y <= bottom && x >= -kBorder && x <= right)) return Search(y, x, nullptr, num_centers);
    const float inverse = 1.0f / side;  // exact, as all products: sides are powers of two
    const int64_t row = std::min(static_cast<int64_t>(std::max(y, 0.0f) * inverse), rows - 1);
    const int64_t column = std::min(static_cast<int64_t>(std::max(x, 0.0f) * inverse), columns - 1);
    const List list = tiles[row * columns + column];
    const int32_t* candidates = indices + list.begin;
    return list.size == 1 ? *candidates : Search(y, x, candidates, list.size);
  }

  // Assigns thing pixel (y, x): 1 + index of the center nearest to where its offset leads, and that center's value.
  void Assign(int64_t y, int64_t x, float down, float across, int32_t* instance, float* score) const {
    const int32_t index = Find(static_cast<float>(y) + down, static_cast<float>(x) + across);
    *instance = index + 1;
    *score = values[index];
  }

  const List* tiles;              // [rows, columns]
  const int32_t* indices;
  int64_t num_centers, num_indices;
  int64_t side, rows, columns;  // of a tile in pixels, and how many there are
  float bottom, right;
};

}  // namespace panpipe

#endif  // PANPIPE_CUSTOM_OPS_CC_NEAREST_H_
