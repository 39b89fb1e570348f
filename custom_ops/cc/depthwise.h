// SPDX-License-Identifier: Apache-2.0
// The gradient of a depthwise convolution by its kernel: every tap adds up, channel by channel, the products of the
// pixels that it read and the gradients of what it wrote. TensorFlow has kernels for this that take up to ten times
// the time of the convolution itself.
#ifndef PANPIPE_CUSTOM_OPS_CC_DEPTHWISE_H_
#define PANPIPE_CUSTOM_OPS_CC_DEPTHWISE_H_

#include <algorithm>
#include <cstdint>

namespace panpipe {

// Images read [height, width, channels], written [out_height, out_width, channels]. The tap (0, 0) of the pixel (0, 0)
// that is written reads the pixel (-top, -left); what is outside counts as 0.
struct Depthwise {
  int64_t height, width, out_height, out_width, channels;
  int64_t stride, top, left;
};

// Adds up kSize x kSize taps over rows of an image, kLanes channels at a time, in registers.
template <int kSize>
class TapSums {
 public:
  // Channels that one row of pixels holds side by side in 64 bytes, a line of the cache.
  static constexpr int kLanes = 16;

  explicit TapSums(const Depthwise& shape) : shape_(shape) {
    // The columns, all of whose taps are inside the image.
    const int64_t last = shape.width - kSize + shape.left;
    inner_begin_ = std::min((shape.left + shape.stride - 1) / shape.stride, shape.out_width);
    inner_end_ = last < 0 ? 0 : std::min(last / shape.stride + 1, shape.out_width);
    inner_end_ = std::max(inner_begin_, inner_end_);
  }

  // Adds to sums [kSize, kSize, channels] what the rows [begin, end) that are written have to say.
  void Add(const float* image, const float* gradient, int64_t begin, int64_t end, float* sums) const {
    for (int64_t y = begin; y < end; ++y) {
      const float* written = gradient + y * shape_.out_width * shape_.channels;
      for (int64_t channel = 0; channel < shape_.channels; channel += kLanes) {
        for (int tap = 0; tap < kSize; ++tap) {
          const int64_t row = y * shape_.stride - shape_.top + tap;
          if (row < 0 || row >= shape_.height) continue;
          const float* read = image + row * shape_.width * shape_.channels;
          float* taps = sums + tap * kSize * shape_.channels;
          if (channel + kLanes <= shape_.channels) {
            AddRow<kLanes>(read + channel, written + channel, taps + channel);
          } else {
            for (int64_t c = channel; c < shape_.channels; ++c) AddRow<1>(read + c, written + c, taps + c);
          }
        }
      }
    }
  }

 private:
  template <int kWidth>
  void AddRow(const float* read, const float* written, float* taps) const {
    float sums[kSize][kWidth] = {};
    const auto add = [&](int64_t x, int first, int last) {
      const float* pixel = written + x * shape_.channels;
      const float* window = read + (x * shape_.stride - shape_.left) * shape_.channels;
      for (int tap = first; tap < last; ++tap) {
        for (int lane = 0; lane < kWidth; ++lane) {
          sums[tap][lane] += window[tap * shape_.channels + lane] * pixel[lane];
        }
      }
    };
    const auto add_at_border = [&](int64_t x) {
      const int64_t begin = x * shape_.stride - shape_.left;
      add(x, static_cast<int>(std::clamp<int64_t>(-begin, 0, kSize)),
          static_cast<int>(std::clamp<int64_t>(shape_.width - begin, 0, kSize)));
    };
    for (int64_t x = 0; x < inner_begin_; ++x) add_at_border(x);
    for (int64_t x = inner_begin_; x < inner_end_; ++x) add(x, 0, kSize);
    for (int64_t x = inner_end_; x < shape_.out_width; ++x) add_at_border(x);
    for (int tap = 0; tap < kSize; ++tap) {
      for (int lane = 0; lane < kWidth; ++lane) taps[tap * shape_.channels + lane] += sums[tap][lane];
    }
  }

  Depthwise shape_;
  int64_t inner_begin_, inner_end_;
};

}  // namespace panpipe

#endif  // PANPIPE_CUSTOM_OPS_CC_DEPTHWISE_H_
