// SPDX-License-Identifier: Apache-2.0
// Exercises heads.h and what it includes alone. Compiled with sanitizers by test_headers.py.
#include "heads.h"

#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <limits>
#include <vector>

namespace {

using Floats = std::vector<float>;

float Uniform() { return static_cast<float>(std::rand()) / static_cast<float>(RAND_MAX); }

// Draws numbers of the image's own scale, some of them equal, or not even finite.
Floats Draw(int64_t count, float scale, bool is_wild) {
  Floats values(count);
  for (float& value : values) {
    value = scale * (Uniform() - 0.5f);
    if (std::rand() % 2) value = std::floor(4 * value) / 4;
    if (is_wild && std::rand() % 20 == 0) value = std::numeric_limits<float>::infinity() * (std::rand() % 3 - 1);
    if (is_wild && std::rand() % 20 == 0) value = 3e38f;
  }
  return values;
}

// The label at one pixel, by resizing all classes.
int32_t LabelAt(const Floats& logits, int64_t classes, const panpipe::Resizing& resizing, int64_t y, int64_t x) {
  const panpipe::Tap down = resizing.ys[y], across = resizing.xs[x];
  const auto at = [&](int64_t row, int64_t column, int64_t k) {
    return logits[(row * resizing.width + column) * classes + k];
  };
  int32_t label = 0;
  float best = std::numeric_limits<float>::lowest();
  for (int64_t k = 0; k < classes; ++k) {
    const float top = panpipe::Lerp(at(down.lower, across.lower, k), at(down.lower, across.upper, k), across.lerp);
    const float bottom = panpipe::Lerp(at(down.upper, across.lower, k), at(down.upper, across.upper, k), across.lerp);
    const float value = resizing.is_copy ? at(y, x, k) : panpipe::Lerp(top, bottom, down.lerp);
    if (value > best) {
      best = value;
      label = static_cast<int32_t>(k);
    }
  }
  return label;
}

bool LabelsAreRight(int64_t h, int64_t w, int64_t height, int64_t width, int64_t classes, bool is_wild) {
  const Floats logits = Draw(h * w * classes, 8, is_wild);
  const panpipe::Resizing resizing(h, w, height, width);
  std::vector<int32_t> labels(height * width);
  panpipe::WriteLabels(logits.data(), classes, resizing, 0, height, labels.data());
  for (int64_t y = 0; y < height; ++y) {
    for (int64_t x = 0; x < width; ++x) {
      if (labels[y * width + x] != LabelAt(logits, classes, resizing, y, x)) return false;
    }
  }
  return true;
}

// Compares with a search of all centers, on points in, around and far from the image, and on ties.
bool NearestIsRight(int64_t height, int64_t width, int num_centers) {
  std::vector<panpipe::Center> centers;
  for (int i = 0; i < num_centers; ++i) {
    centers.push_back({static_cast<int32_t>(std::rand() % height), static_cast<int32_t>(std::rand() % width), 1.0f});
  }
  const panpipe::NearestCenter made(centers, height, width);
  const panpipe::CenterLists nearest = made.lists();
  for (int i = 0; i < 3000; ++i) {
    const float reach = i % 3 == 0 ? 1.0f : i % 3 == 1 ? 4.0f : 1e5f;
    float y = (0.5f + reach * (Uniform() - 0.5f)) * height, x = (0.5f + reach * (Uniform() - 0.5f)) * width;
    if (i % 2) y = std::round(2 * y) / 2, x = std::round(2 * x) / 2;
    int32_t wanted = 0;
    float least = std::numeric_limits<float>::max();
    for (int k = 0; k < num_centers; ++k) {
      const float down = y - centers[k].y, across = x - centers[k].x;
      const float distance = down * down + across * across;
      if (distance < least) least = distance, wanted = k;
    }
    if (nearest.Find(y, x) != wanted) return false;
  }
  return nearest.Find(NAN, 0) == 0 && nearest.Find(0, -INFINITY) == 0;
}

// Returns whether the result is the same for any number of bands.
bool BandsChangeNothing(int64_t h, int64_t w, int64_t height, int64_t width, bool is_wild) {
  constexpr int64_t kClasses = 5;
  const Floats logits = Draw(h * w * kClasses, 8, is_wild), heatmap = Draw(h * w, 2, is_wild);
  const Floats offset = Draw(2 * h * w, 20, is_wild);
  const panpipe::HeadMaps heads = {logits.data(), heatmap.data(), offset.data(), h, w, kClasses};
  const panpipe::CenterRules center_rules = {/*threshold=*/0.1f, /*nms_kernel=*/5, /*keep_k=*/9};
  const panpipe::MergeRules merge_rules = {/*thing_ids=*/{1, 4}, /*label_divisor=*/6, /*stuff_area_limit=*/9,
                                           /*void_label=*/255};
  std::vector<int32_t> first[3];
  Floats first_score;
  for (const int64_t num_bands : {int64_t{1}, int64_t{2}, int64_t{3}, height}) {
    std::vector<int32_t> maps[3];
    for (auto& map : maps) map.resize(height * width);
    Floats score(height * width);
    const panpipe::PredictionMaps out = {maps[0].data(), maps[1].data(), maps[2].data(), score.data(), height, width};
    panpipe::HeadsOfImage(heads, center_rules, merge_rules, out).Predict(num_bands, [](int64_t n, const auto& work) {
      for (int64_t i = n - 1; i >= 0; --i) work(i);
    });
    if (num_bands == 1) {
      std::copy(maps, maps + 3, first);
      first_score = score;
    }
    if (!std::equal(maps, maps + 3, first) || score != first_score) return false;
  }
  return true;
}

}  // namespace

int main() {
  for (const bool is_wild : {false, true}) {
    for (const int64_t classes : {1, 2, 5, 19}) {
      for (const int64_t w : {1, 2, 4, 9}) {
        const bool is_right = LabelsAreRight(3, w, 9, 4 * w - 3, classes, is_wild) &&
                              LabelsAreRight(3, w, 3, w, classes, is_wild) &&
                              LabelsAreRight(1, w, 7, 30, classes, is_wild) &&
                              LabelsAreRight(6, w, 2, 1, classes, is_wild);
        if (!is_right) {
          std::printf("labels: width %d, %d classes\n", static_cast<int>(w), static_cast<int>(classes));
          return 1;
        }
      }
    }
    if (!BandsChangeNothing(7, 9, 25, 33, is_wild) || !BandsChangeNothing(8, 5, 8, 5, is_wild)) return 2;
  }
  for (const int num_centers : {1, 2, 30, 900}) {
    if (!NearestIsRight(130, 257, num_centers) || !NearestIsRight(1, 40, num_centers)) return 3;
  }
  return 0;
}
