// SPDX-License-Identifier: Apache-2.0
// Merges, predicts and scores on random shapes, rules, labels and heads, NaN and infinities among them, in random
// bands, and compares with the shortest code that does the same. Compiled with sanitizers by test_headers.py.
//   fuzz_test SEED ROUNDS
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <limits>
#include <map>
#include <random>
#include <vector>

#include "heads.h"
#include "scores.h"

namespace {

using Ints = std::vector<int32_t>;
using Floats = std::vector<float>;

constexpr int32_t kMost = std::numeric_limits<int32_t>::max();

std::mt19937 generator;

int64_t Between(int64_t smallest, int64_t largest) {
  return std::uniform_int_distribution<int64_t>(smallest, largest)(generator);
}

template <typename T>
T OneOf(const std::vector<T>& values) {
  return values[Between(0, values.size() - 1)];
}

// Sizes at which vectors of 4, 8 and 16 lanes end, and others.
int64_t DrawSize(int64_t largest) {
  return std::min(largest, OneOf<int64_t>({1, 2, 3, 4, 5, 7, 8, 9, 15, 16, 17, 31, 32, 33, Between(1, largest)}));
}

panpipe::MergeRules DrawRules(int32_t num_labels) {
  panpipe::MergeRules rules;
  rules.label_divisor = OneOf<int32_t>({1, 2, 3, 256, 1000, kMost / std::max(num_labels, 1)});
  rules.stuff_area_limit = OneOf<int32_t>({0, 1, 4, 60, kMost});
  const int32_t largest = static_cast<int32_t>(rules.largest_label());
  rules.void_label = OneOf<int32_t>({0, std::min(255, largest), largest});
  const int64_t share = Between(0, 4);
  for (int32_t i = 0; i < num_labels; ++i) {
    if (Between(1, 4) <= share) rules.thing_ids.push_back(i);
  }
  return rules;
}

Ints MergePlainly(const Ints& semantic, const Ints& instance, const panpipe::MergeRules& rules) {
  std::map<int32_t, int64_t> areas;
  std::map<int32_t, std::map<int32_t, int64_t>> votes;  // of instances, by label
  for (size_t i = 0; i < semantic.size(); ++i) {
    ++(rules.is_thing(semantic[i]) ? votes[instance[i]] : areas)[semantic[i]];
  }
  const int32_t divisor = rules.label_divisor, void_id = rules.void_label * divisor;
  std::map<int32_t, int32_t> numbered, ids;
  for (const auto& [id, labels] : votes) {
    auto winner = labels.begin();
    for (auto other = labels.begin(); other != labels.end(); ++other) {
      if (other->second > winner->second) winner = other;
    }
    const int32_t k = ++numbered[winner->first];
    ids[id] = k < divisor ? winner->first * divisor + k : void_id;
  }
  Ints panoptic;
  for (size_t i = 0; i < semantic.size(); ++i) {
    if (rules.is_thing(semantic[i])) {
      panoptic.push_back(ids[instance[i]]);
    } else {
      panoptic.push_back(areas[semantic[i]] > rules.stuff_area_limit ? semantic[i] * divisor : void_id);
    }
  }
  return panoptic;
}

bool MergeIsRight() {
  const int64_t pixels = Between(0, 3) ? DrawSize(300) : Between(1000, 6000), run = OneOf<int64_t>({1, 3, 40});
  const int32_t num_labels = static_cast<int32_t>(Between(1, 20));
  const panpipe::MergeRules rules = DrawRules(num_labels);
  const int64_t num_ids = OneOf<int64_t>({1, 3, 50, kMost});
  Ints semantic, instance;
  for (int64_t i = 0; i < pixels; ++i) {
    const bool is_new = i == 0 || Between(1, run) == 1;
    semantic.push_back(is_new ? OneOf<int32_t>({static_cast<int32_t>(Between(0, num_labels - 1)), 0, rules.void_label,
                                                static_cast<int32_t>(rules.largest_label())})
                              : semantic.back());
    instance.push_back(is_new ? OneOf<int32_t>({static_cast<int32_t>(Between(-num_ids, num_ids)), 0, -kMost - 1})
                              : instance.back());
  }
  std::vector<int64_t> ends;
  for (int64_t i = Between(0, 5); i > 0; --i) ends.push_back(Between(0, pixels));  // bands may be empty
  ends.push_back(pixels);
  std::sort(ends.begin(), ends.end());
  std::vector<panpipe::Band> bands(ends.size());
  const auto begin = [&](size_t i) { return i == 0 ? 0 : ends[i - 1]; };
  for (size_t i = 0; i < ends.size(); ++i) {
    panpipe::ReadBand(semantic.data(), instance.data(), begin(i), ends[i], &bands[i]);
  }
  int32_t bad;
  if (panpipe::FindBadLabel(bands.data(), bands.data() + bands.size(), rules, &bad)) return false;
  panpipe::NumberSegments(bands.data(), bands.data() + bands.size(), rules);
  Ints panoptic(pixels);
  for (size_t i = 0; i < ends.size(); ++i) {
    panpipe::WriteBand(bands[i], ends[i] - begin(i), panoptic.data() + begin(i));
  }
  return panoptic == MergePlainly(semantic, instance, rules);
}

// Draws maps of one kind: few values and ties, channels as close as float32 can say, any numbers, or any with some that
// are none.
Floats DrawMap(int64_t pixels, int64_t channels, float scale) {
  const int64_t kind = Between(0, 3);
  Floats values(pixels * channels);
  float level = 0;
  for (int64_t i = 0; i < pixels * channels; ++i) {
    float& value = values[i];
    value = scale * std::uniform_real_distribution<float>(-1, 1)(generator);
    if (i % channels == 0) level = value;
    if (kind == 0) value = std::floor(4 * value) / 4;
    if (kind == 1) value = std::nextafter(level, OneOf<float>({0, level, 2 * level}));
    if (kind == 2 && Between(1, 10) == 1) {
      value = OneOf<float>({NAN, INFINITY, -INFINITY, 3e38f, -3.4028235e38f, 1e37f, 1e-40f, -0.0f});
    }
  }
  return values;
}

// One value of a resized map, all four corners looked at.
float ValueAt(const float* source, int64_t channels, const panpipe::Resizing& resizing, int64_t y, int64_t x) {
  if (resizing.is_copy) return source[(y * resizing.width + x) * channels];
  const panpipe::Tap down = resizing.ys[y], across = resizing.xs[x];
  const auto along = [&](int64_t row) {
    const float left = source[(row * resizing.width + across.lower) * channels];
    const float right = source[(row * resizing.width + across.upper) * channels];
    return left + (right - left) * across.lerp;
  };
  const float top = along(down.lower), bottom = along(down.upper);
  return top + (bottom - top) * down.lerp;
}

std::vector<panpipe::Center> CentersPlainly(const Floats& heatmap, int64_t height, int64_t width,
                                            const panpipe::CenterRules& rules) {
  const int64_t before = (rules.nms_kernel - 1) / 2, after = rules.nms_kernel - 1 - before;
  std::vector<panpipe::Center> centers;
  Floats values;
  for (int64_t y = 0; y < height; ++y) {
    for (int64_t x = 0; x < width; ++x) {
      const float value = heatmap[y * width + x];
      bool is_peak = value > rules.threshold && value > 0;
      for (int64_t i = std::max<int64_t>(y - before, 0); i <= std::min(y + after, height - 1); ++i) {
        for (int64_t j = std::max<int64_t>(x - before, 0); j <= std::min(x + after, width - 1); ++j) {
          is_peak &= !(heatmap[i * width + j] > value);
        }
      }
      if (!is_peak) continue;
      centers.push_back({static_cast<int32_t>(y), static_cast<int32_t>(x), value});
      values.push_back(value);
    }
  }
  if (rules.keep_k <= 0 || static_cast<int64_t>(centers.size()) <= rules.keep_k) return centers;
  std::sort(values.begin(), values.end(), std::greater<float>());
  std::vector<panpipe::Center> kept;
  for (const panpipe::Center& center : centers) {
    if (center.value > values[rules.keep_k - 1]) kept.push_back(center);
  }
  return kept;
}

int32_t NearestPlainly(const std::vector<panpipe::Center>& centers, float y, float x) {
  int32_t nearest = 0;
  float least = std::numeric_limits<float>::infinity();
  for (size_t i = 0; i < centers.size(); ++i) {
    const float down = y - centers[i].y, across = x - centers[i].x;
    const float distance = down * down + across * across;
    if (distance < least) {
      least = distance;
      nearest = static_cast<int32_t>(i);
    }
  }
  return nearest;
}

struct Maps {
  explicit Maps(int64_t size) : panoptic(size, -1), semantic(size, -1), instance(size, -1), score(size, -1.0f) {}
  Ints panoptic, semantic, instance;
  Floats score;
};

Maps PredictPlainly(const panpipe::HeadMaps& heads, const panpipe::CenterRules& center_rules,
                    const panpipe::MergeRules& merge_rules, int64_t height, int64_t width) {
  const panpipe::Resizing resizing(heads.height, heads.width, height, width);
  const float growth_y = panpipe::Growth(heads.height, height), growth_x = panpipe::Growth(heads.width, width);
  Floats scaled;  // offsets are pixels of the result; nothing grows where the size stays
  for (int64_t i = 0; i < 2 * heads.height * heads.width; ++i) {
    scaled.push_back(heads.offset[i] * (i % 2 ? growth_x : growth_y));
  }
  Maps maps(height * width);
  Floats heatmap;
  for (int64_t i = 0; i < height * width; ++i) {
    const int64_t y = i / width, x = i % width;
    float best = std::numeric_limits<float>::lowest();
    maps.semantic[i] = 0;
    for (int64_t k = 0; k < heads.classes; ++k) {
      const float value = ValueAt(heads.logits + k, heads.classes, resizing, y, x);
      if (value > best) best = value, maps.semantic[i] = static_cast<int32_t>(k);
    }
    heatmap.push_back(ValueAt(heads.heatmap, 1, resizing, y, x));
  }
  const std::vector<panpipe::Center> centers = CentersPlainly(heatmap, height, width, center_rules);
  for (int64_t i = 0; i < height * width; ++i) {
    const int64_t y = i / width, x = i % width;
    const bool has_center = merge_rules.is_thing(maps.semantic[i]) && !centers.empty();
    const int32_t nearest = NearestPlainly(centers, y + ValueAt(scaled.data(), 2, resizing, y, x),
                                           x + ValueAt(scaled.data() + 1, 2, resizing, y, x));
    maps.instance[i] = has_center ? nearest + 1 : 0;
    maps.score[i] = has_center ? centers[nearest].value : 0;
  }
  maps.panoptic = MergePlainly(maps.semantic, maps.instance, merge_rules);
  return maps;
}

bool HeadsAreRight() {
  const int64_t h = DrawSize(20), w = DrawSize(20), kind = Between(0, 3);
  const int64_t height = kind == 0 ? h : kind == 1 ? 4 * h - 3 : DrawSize(50);
  const int64_t width = kind == 0 ? w : kind == 1 ? 4 * w - 3 : DrawSize(70), classes = DrawSize(20);
  const Floats logits = DrawMap(h * w, classes, OneOf<float>({1, 50, 1e36f}));
  const Floats heatmap = DrawMap(h * w, 1, 1), offset = DrawMap(h * w, 2, OneOf<float>({1, 6, 3000, 1e30f}));
  const panpipe::HeadMaps heads = {logits.data(), heatmap.data(), offset.data(), h, w, classes};
  const panpipe::CenterRules center_rules = {OneOf<float>({-1, 0, 0.1f, 0.5f, NAN}),
                                             OneOf<int64_t>({1, 2, 3, 4, 7, 13, kMost}),
                                             OneOf<int64_t>({-1, 0, 1, 2, 5, 200, int64_t{1} << 40})};
  const panpipe::MergeRules merge_rules = DrawRules(static_cast<int32_t>(classes));
  Maps found(height * width);
  const panpipe::PredictionMaps out = {found.panoptic.data(), found.semantic.data(), found.instance.data(),
                                       found.score.data(), height, width};
  panpipe::HeadsOfImage(heads, center_rules, merge_rules, out)
      .Predict(Between(1, height), [](int64_t n, const auto& work) {
        for (int64_t i = n - 1; i >= 0; --i) work(i);
      });
  const Maps wanted = PredictPlainly(heads, center_rules, merge_rules, height, width);
  return found.semantic == wanted.semantic && found.instance == wanted.instance && found.score == wanted.score &&
         found.panoptic == wanted.panoptic;
}

bool ScoresAreRight() {
  const int64_t height = DrawSize(40), width = DrawSize(40), h = DrawSize(20), w = DrawSize(20), classes = DrawSize(20);
  const int32_t divisor = OneOf<int32_t>({1, 3, 1000}), most = OneOf<int32_t>({0, 1, 5, 200});
  const panpipe::Resizing resizing(h, w, height, width);
  const Floats probabilities = DrawMap(h * w, classes, 1), score = DrawMap(height * width, 1, 1);
  bool is_thing[256];
  for (bool& is : is_thing) is = Between(0, 1);
  Maps maps(height * width);
  bool has_center = false;
  for (int64_t i = 0; i < height * width; ++i) {
    maps.instance[i] = static_cast<int32_t>(Between(0, most));
    maps.semantic[i] = OneOf<int32_t>({0, static_cast<int32_t>(classes) - 1, 255, 256, -1});
    maps.panoptic[i] = OneOf<int32_t>({static_cast<int32_t>(classes) - 1, 0, 255, -1}) * divisor;
    has_center |= maps.instance[i] > 0;
  }
  const panpipe::InstanceSums sums = panpipe::AddUpInstances(
      {maps.panoptic.data(), maps.semantic.data(), maps.instance.data(), score.data(), height, width},
      {probabilities.data(), h, w, classes}, {is_thing, 256}, divisor);
  panpipe::InstanceSums wanted(sums.ids.size());
  for (int64_t i = 0; i < height * width; ++i) {
    const int32_t number = maps.instance[i], label = maps.semantic[i], id = maps.panoptic[i];
    if (has_center ? number == 0 : label < 0 || label > 255 || !is_thing[label]) continue;
    const int64_t channel = std::min<int64_t>(std::max(id / divisor, 0), classes - 1);
    wanted.ids[number] = std::max(wanted.ids[number], id);
    wanted.pixels[number] += 1;
    wanted.probability[number] += ValueAt(probabilities.data() + channel, classes, resizing, i / width, i % width);
    wanted.score[number] += score[i];
  }
  const auto is_same = [](const Floats& one, const Floats& other) {
    return std::equal(one.begin(), one.end(), other.begin(), other.end(),
                      [](float a, float b) { return a == b || (std::isnan(a) && std::isnan(b)); });
  };
  // Where nothing is resized, all four corners are the same pixel, and infinity less infinity is no number.
  return sums.ids == wanted.ids && sums.pixels == wanted.pixels && is_same(sums.score, wanted.score) &&
         (resizing.is_copy || is_same(sums.probability, wanted.probability));
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 3) return 2;
  const unsigned seed = static_cast<unsigned>(std::atoi(argv[1]));
  for (int round = 0; round < std::atoi(argv[2]); ++round) {
    generator.seed(seed * 1000003u + round);
    const char* wrong = nullptr;
    if (!MergeIsRight()) wrong = "merge";
    if (!HeadsAreRight()) wrong = "prediction";
    if (!ScoresAreRight()) wrong = "scores";
    if (wrong == nullptr) continue;
    std::printf("%s: seed %u, round %d\n", wrong, seed, round);
    return 1;
  }
  return 0;
}
