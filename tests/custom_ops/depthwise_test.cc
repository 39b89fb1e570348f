// SPDX-License-Identifier: Apache-2.0
// Exercises depthwise.h alone, on random shapes and whole numbers, whose sums are exact in any order. Compiled with
// sanitizers by test_headers.py; test_depthwise.py compares the op with TensorFlow's.
#include <cstdio>
#include <cstdlib>
#include <vector>

#include "depthwise.h"

namespace {

int64_t Between(int64_t smallest, int64_t largest) { return smallest + std::rand() % (largest - smallest + 1); }

std::vector<float> Draw(int64_t size) {
  std::vector<float> values(size);
  for (float& value : values) value = static_cast<float>(Between(-4, 4));
  return values;
}

// What every tap of every channel adds up, pixel by pixel.
std::vector<float> Expected(const panpipe::Depthwise& shape, int64_t size, const std::vector<float>& image,
                            const std::vector<float>& gradient) {
  std::vector<float> sums(size * size * shape.channels, 0.0f);
  for (int64_t i = 0; i < static_cast<int64_t>(gradient.size()); ++i) {
    const int64_t channel = i % shape.channels, x = i / shape.channels % shape.out_width,
                  y = i / shape.channels / shape.out_width;
    for (int64_t tap = 0; tap < size * size; ++tap) {
      const int64_t row = y * shape.stride - shape.top + tap / size, column = x * shape.stride - shape.left + tap % size;
      if (row < 0 || row >= shape.height || column < 0 || column >= shape.width) continue;
      sums[tap * shape.channels + channel] += image[(row * shape.width + column) * shape.channels + channel] * gradient[i];
    }
  }
  return sums;
}

template <int kSize>
bool IsExact() {
  const panpipe::Depthwise shape = {Between(1, 9), Between(1, 9), Between(1, 9), Between(1, 9),
                                    Between(1, 40), Between(1, 3), Between(0, 4), Between(0, 4)};
  const std::vector<float> image = Draw(shape.height * shape.width * shape.channels);
  const std::vector<float> gradient = Draw(shape.out_height * shape.out_width * shape.channels);
  std::vector<float> sums(kSize * kSize * shape.channels, 0.0f);
  const panpipe::TapSums<kSize> taps(shape);
  const int64_t middle = Between(0, shape.out_height);
  taps.Add(image.data(), gradient.data(), 0, middle, sums.data());
  taps.Add(image.data(), gradient.data(), middle, shape.out_height, sums.data());
  return sums == Expected(shape, kSize, image, gradient);
}

}  // namespace

int main() {
  for (int seed = 0; seed < 2000; ++seed) {
    std::srand(seed);
    if (!IsExact<3>() || !IsExact<5>()) {
      std::printf("seed %d: sums differ\n", seed);
      return 1;
    }
  }
  return 0;
}
