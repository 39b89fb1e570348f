// SPDX-License-Identifier: Apache-2.0
// Bilinear resizing with aligned corners, in the arithmetic of TensorFlow's CPU kernel: every operation is rounded to
// float32 on its own, so that results are equal bit for bit. (Compile with -ffp-contract=off.)
#ifndef PANPIPE_CUSTOM_OPS_CC_BILINEAR_H_
#define PANPIPE_CUSTOM_OPS_CC_BILINEAR_H_

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <vector>

#include "host_device.h"

namespace panpipe {

// Where one row (or column) of the result lies between two rows (or columns) of the source.
struct Tap {
  int64_t lower;
  int64_t upper;  // lower + 1, or lower itself where the result lies on it
  float lerp;     // 0 .. 1, from lower to upper
};

// How the rows (or columns) of a result lie among those of the source.
struct Axis {
  Axis(int64_t source_size, int64_t out_size)
      : in_size(source_size),
        scale(out_size > 1 ? (source_size - 1) / static_cast<float>(out_size - 1) : 0.0f) {}

  PANPIPE_HOST_DEVICE Tap At(int64_t i) const {
    const float position = static_cast<float>(i) * scale;
    const float below = std::floor(position);
    return {static_cast<int64_t>(below), std::min(static_cast<int64_t>(std::ceil(position)), in_size - 1),
            position - below};
  }

  int64_t in_size;
  float scale;
};

inline std::vector<Tap> Taps(int64_t in_size, int64_t out_size) {
  const Axis axis(in_size, out_size);
  std::vector<Tap> taps(out_size);
  for (int64_t i = 0; i < out_size; ++i) taps[i] = axis.At(i);
  return taps;
}

// By how much the distance between the corners grows. A single row or column has none: it counts as unchanged.
inline float Growth(int64_t in_size, int64_t out_size) {
  if (in_size <= 1) return 1.0f;
  return static_cast<float>(static_cast<double>(out_size - 1) / static_cast<double>(in_size - 1));
}

template <typename Number>  // a float or a vector of floats
PANPIPE_HOST_DEVICE inline Number Lerp(Number from, Number to, Number lerp) {
  return from + (to - from) * lerp;
}

// How one image is resized: first along the rows of the source, then between them.
struct Resizing {
  Resizing(int64_t in_height, int64_t in_width, int64_t out_height, int64_t out_width)
      : height(in_height),
        width(in_width),
        is_copy(in_height == out_height && in_width == out_width),
        ys(Taps(in_height, out_height)),
        xs(Taps(in_width, out_width)) {}

  // The end of the rows of the result, from `begin` on but before `end`, that share their lower row of the source.
  int64_t StripEnd(int64_t begin, int64_t end) const {
    const int64_t row = ys[begin].lower;
    while (begin < end && ys[begin].lower == row) ++begin;
    return begin;
  }

  int64_t height, width;
  bool is_copy;  // then nothing is computed, which is not the same where a value is infinite
  std::vector<Tap> ys, xs;
};

// Resizes maps of a few interleaved channels row by row, from the top to the bottom.
template <int kChannels>
class RowResizer {
 public:
  using Factors = float[kChannels];

  // The source is multiplied by a factor for each channel first.
  RowResizer(const float* source, const Resizing& resizing, const Factors& factors)
      : source_(source), resizing_(resizing) {
    std::copy_n(factors, kChannels, factors_);
    for (std::vector<float>& line : lines_) line.resize(resizing.xs.size() * kChannels);
  }

  // Writes columns [begin, end) of row y of the result.
  void Write(int64_t y, int64_t begin, int64_t end, float* row) {
    if (resizing_.is_copy) {
      const float* from = source_ + y * resizing_.width * kChannels;
      std::copy(from + begin * kChannels, from + end * kChannels, row + begin * kChannels);
      return;
    }
    const Tap tap = resizing_.ys[y];
    const float* top = Line(tap.lower);
    const float* bottom = Line(tap.upper);
    for (int64_t i = begin * kChannels; i < end * kChannels; ++i) row[i] = Lerp(top[i], bottom[i], tap.lerp);
  }

 private:
  // A row of the source, resized along itself. The two that a row of the result needs differ in parity.
  const float* Line(int64_t y) {
    float* line = lines_[y % 2].data();
    if (held_[y % 2] == y) return line;
    held_[y % 2] = y;
    const float* row = source_ + y * resizing_.width * kChannels;
    for (const Tap& tap : resizing_.xs) {
      for (int c = 0; c < kChannels; ++c) {
        *line++ = Lerp(row[tap.lower * kChannels + c] * factors_[c], row[tap.upper * kChannels + c] * factors_[c],
                       tap.lerp);
      }
    }
    return lines_[y % 2].data();
  }

  const float* source_;
  const Resizing& resizing_;
  Factors factors_;
  std::vector<float> lines_[2];
  int64_t held_[2] = {-1, -1};
};

}  // namespace panpipe

#endif  // PANPIPE_CUSTOM_OPS_CC_BILINEAR_H_
