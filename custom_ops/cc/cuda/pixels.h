// SPDX-License-Identifier: Apache-2.0
// From heads to instances: what one GPU thread, thread i, does for pixel i of the result.
#ifndef PANPIPE_CUSTOM_OPS_CC_CUDA_PIXELS_H_
#define PANPIPE_CUSTOM_OPS_CC_CUDA_PIXELS_H_

#include <cstdint>

#include "argmax.h"
#include "bilinear.h"
#include "cuda/ranking.h"
#include "cuda/segments.h"
#include "host_device.h"

namespace panpipe {

// How the heads of an image are resized.
struct Grid {
  Grid(int64_t in_height, int64_t in_width, int64_t out_height, int64_t out_width)
      : ys(in_height, out_height),
        xs(in_width, out_width),
        is_copy(in_height == out_height && in_width == out_width),
        width(out_width) {}

  Axis ys, xs;
  bool is_copy;   // then nothing is computed, which is not the same where a value is infinite
  int64_t width;  // of the result
};

// One value of a map with interleaved channels, resized as by RowResizer.
PANPIPE_HOST_DEVICE inline float Resized(const float* source, int channels, float factor, const Grid& grid, int64_t y,
                                         int64_t x) {
  if (grid.is_copy) return source[(y * grid.width + x) * channels];
  const Tap down = grid.ys.At(y), across = grid.xs.At(x);
  const float* top = source + down.lower * grid.xs.in_size * channels;
  const float* bottom = source + down.upper * grid.xs.in_size * channels;
  const int64_t left = across.lower * channels, right = across.upper * channels;
  return Lerp(Lerp(top[left] * factor, top[right] * factor, across.lerp),
              Lerp(bottom[left] * factor, bottom[right] * factor, across.lerp), down.lerp);
}

struct WriteLabel {
  PANPIPE_HOST_DEVICE void operator()(int64_t i) const {
    if (grid.is_copy) {
      const float* values = logits + i * classes;
      semantic[i] = Argmax(classes, [=](int64_t k) { return values[k]; });
    } else {
      semantic[i] =
          ResizedArgmax(logits, grid.xs.in_size, classes, grid.ys.At(i / grid.width), grid.xs.At(i % grid.width));
    }
  }

  const float* logits;
  int64_t classes;
  Grid grid;
  int32_t* semantic;
};

struct WriteHeatmap {
  PANPIPE_HOST_DEVICE void operator()(int64_t i) const {
    heatmap[i] = Resized(source, 1, 1.0f, grid, i / grid.width, i % grid.width);
  }

  const float* source;
  Grid grid;
  float* heatmap;
};

// Groups things by offsets of the result's own resolution.
struct GroupThings {
  PANPIPE_HOST_DEVICE void operator()(int64_t i) const {
    instance[i] = 0;
    score[i] = 0;
    if (!is_thing[i] || centers.is_empty()) return;
    centers.Assign(i / width, i % width, offset[2 * i], offset[2 * i + 1], instance + i, score + i);
  }

  RankedCenters centers;
  const float* offset;
  const bool* is_thing;
  int64_t width;
  int32_t* instance;
  float* score;
};

// Groups things by offsets that are resized and grow on the way.
struct GroupLabels {
  PANPIPE_HOST_DEVICE void operator()(int64_t i) const {
    instance[i] = 0;
    score[i] = 0;
    if (!things.Contains(semantic[i]) || centers.is_empty()) return;
    const int64_t y = i / grid.width, x = i % grid.width;
    const float down = Resized(offset, 2, growth_y, grid, y, x);
    const float across = Resized(offset + 1, 2, growth_x, grid, y, x);
    centers.Assign(y, x, down, across, instance + i, score + i);
  }

  RankedCenters centers;
  const float* offset;
  float growth_y, growth_x;
  Grid grid;
  const int32_t* semantic;
  ThingIds things;
  int32_t* instance;
  float* score;
};

}  // namespace panpipe

#endif  // PANPIPE_CUSTOM_OPS_CC_CUDA_PIXELS_H_
