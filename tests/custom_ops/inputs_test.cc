// SPDX-License-Identifier: Apache-2.0
// Exercises cutting.h and targets.h alone, on random shapes, windows and labels; test_augment.py and test_targets.py
// compare the ops with TensorFlow's. Compiled with sanitizers by test_headers.py.
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <limits>
#include <vector>

#include "cutting.h"
#include "targets.h"

namespace {

int64_t Between(int64_t smallest, int64_t largest) { return smallest + std::rand() % (largest - smallest + 1); }

panpipe::Window DrawWindow() {
  panpipe::Window window;
  window.is_flipped = std::rand() % 2;
  for (int64_t panpipe::Size::*axis : {&panpipe::Size::y, &panpipe::Size::x}) {
    window.scaled.*axis = Between(1, 30);
    window.crop.*axis = Between(1, 30);
    window.visible.*axis = std::min(window.scaled.*axis, window.crop.*axis);
    window.start.*axis = Between(0, window.scaled.*axis - window.visible.*axis);
    window.offset.*axis = Between(0, window.crop.*axis - window.visible.*axis);
  }
  return window;
}

// Returns whether rows are the same whether they follow others or are the first that a cutter writes.
template <typename Cutter, typename Value>
bool RowsAreIndependent(const Cutter& cutter, const panpipe::Window& window, int64_t channels, Value any) {
  const int64_t width = window.crop.x * channels;
  std::vector<Value> whole(window.crop.y * width, any), row(width);
  Cutter in_turn = cutter;
  for (int64_t y = 0; y < window.crop.y; ++y) in_turn.Write(y, whole.data() + y * width);
  for (int64_t y = 0; y < window.crop.y; ++y) {
    Cutter alone = cutter;
    alone.Write(y, row.data());
    // Bytes, because NaN does not equal itself.
    if (std::memcmp(row.data(), whole.data() + y * width, width * sizeof(Value)) != 0) return false;
  }
  return true;
}

bool CutsAreRight() {
  const panpipe::Window window = DrawWindow();
  const panpipe::Size size = {Between(1, 20), Between(1, 20)};
  std::vector<uint8_t> image(size.y * size.x * 3);
  for (uint8_t& value : image) value = static_cast<uint8_t>(std::rand());
  std::vector<float> numbers(image.begin(), image.end());
  for (float& value : numbers) {
    if (std::rand() % 10 == 0) value = std::rand() % 2 ? NAN : std::rand() % 2 ? INFINITY : -3e38f;
  }
  std::vector<int32_t> label(size.y * size.x);
  for (int32_t& value : label) value = std::rand();
  return RowsAreIndependent(panpipe::ImageCutter<uint8_t>(image.data(), size, window, 127.5f), window, 3, -1.0f) &&
         RowsAreIndependent(panpipe::ImageCutter<float>(numbers.data(), size, window, 127.5f), window, 3, -1.0f) &&
         RowsAreIndependent(panpipe::LabelCutter(label.data(), size, window, 255), window, 1, -1);
}

// Returns whether offsets lead to centers, which the heat-map shows, and every pixel is written.
bool TargetsAreRight(const std::vector<int32_t>& ids, int32_t divisor) {
  const int64_t height = Between(1, 20), width = Between(1, 40), pixels = height * width;
  std::vector<int32_t> panoptic(pixels);
  for (int64_t i = 0; i < pixels; ++i) panoptic[i] = i > 0 && std::rand() % 4 ? panoptic[i - 1] : ids[std::rand() % ids.size()];
  const panpipe::TargetRules rules = {/*thing_ids=*/{2, 3}, divisor, /*ignore_label=*/255,
                                      /*small_threshold=*/20, /*small_weight=*/3.0f};
  const std::vector<float> values = {0.1f, 0.5f, 0.1f, 0.5f, 1.0f, 0.5f, 0.1f, 0.5f, 0.1f};
  std::vector<int32_t> semantic(pixels);
  std::vector<float> maps[4], offset(2 * pixels, NAN);
  for (auto& map : maps) map.assign(pixels, NAN);
  panpipe::TargetsOfImage(panoptic.data(), height, width, rules)
      .Write({values.data(), 3, 1}, {semantic.data(), maps[0].data(), maps[1].data(), maps[2].data(), offset.data(),
                                     maps[3].data()});
  for (int64_t i = 0; i < pixels; ++i) {
    if (semantic[i] != std::floor(panoptic[i] / static_cast<double>(divisor))) return false;
    for (const auto& map : maps) {
      if (std::isnan(map[i])) return false;
    }
    const bool has_center = panoptic[i] != semantic[i] * int64_t{divisor} && semantic[i] != 255;
    const int64_t y = i / width + static_cast<int64_t>(offset[2 * i]);
    const int64_t x = i % width + static_cast<int64_t>(offset[2 * i + 1]);
    if (y < 0 || y >= height || x < 0 || x >= width) return false;
    if (has_center ? maps[1][y * width + x] != 1 : offset[2 * i] != 0 || offset[2 * i + 1] != 0) return false;
  }
  return true;
}

}  // namespace

int main() {
  for (int i = 0; i < 3000; ++i) {
    if (!CutsAreRight()) return 1;
  }
  constexpr int32_t kMax = std::numeric_limits<int32_t>::max();
  for (int i = 0; i < 500; ++i) {
    if (!TargetsAreRight({0, 100, 101, 200, 201, 202, 301, 25500, 25501}, 100)) return 2;
    for (const int32_t divisor : {1, 2, 100, 65536, kMax / 2 + 1, kMax}) {
      if (!TargetsAreRight({0, 201, -1, -100, -201, kMax, -kMax - 1, kMax - 1, 999999}, divisor)) return 3;
    }
  }
  return 0;
}
