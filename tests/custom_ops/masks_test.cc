// SPDX-License-Identifier: Apache-2.0
// Predicts from random masks, NaN and infinities among their logits, in random bands, with vectors of 4 numbers and of
// 8, and compares with the shortest code that does the same. Compiled with sanitizers by test_headers.py.
//   masks_test SEED ROUNDS
#include "masks.h"

#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <limits>
#include <map>
#include <random>
#include <vector>

#include "mask_confidence.h"
#include "mask_kernels.h"

namespace {

using Ints = std::vector<int32_t>;
using Floats = std::vector<float>;

std::mt19937 generator;

int64_t Between(int64_t smallest, int64_t largest) {
  return std::uniform_int_distribution<int64_t>(smallest, largest)(generator);
}

template <typename T>
T OneOf(const std::vector<T>& values) {
  return values[Between(0, values.size() - 1)];
}

// Logits of one kind: any numbers, few values and ties, as close as float32 can say, regions that one slot leads, or
// any with some that are none.
Floats DrawLogits(int64_t height, int64_t width, int64_t slots) {
  const int64_t kind = Between(0, 4);
  const float scale = OneOf<float>({1, 8, 40});
  Floats values(height * width * slots);
  float level = 0;
  for (size_t i = 0; i < values.size(); ++i) {
    float& value = values[i];
    const int64_t slot = i % slots, x = i / slots % width;
    value = scale * std::uniform_real_distribution<float>(-1, 1)(generator);
    if (slot == 0) level = value;
    if (kind == 0) value = std::floor(2 * value) / 2;
    if (kind == 1) value = std::nextafter(level, OneOf<float>({0, level, 2 * level}));
    if (kind == 2) value += x * 3 / width % slots == slot ? 30.0f : 0.0f;
    if (kind == 3 && Between(1, 10) == 1) {
      value = OneOf<float>({NAN, INFINITY, -INFINITY, 3e38f, -3.4028235e38f, 1e30f, 0.0f, -0.0f});
    }
  }
  return values;
}

float Term(float x) {
  return panpipe::narrow::Exponential(panpipe::narrow::Floats{x, x, x, x})[0];
}

float Sum(const Floats& terms) {
  float parts[panpipe::kParts] = {};
  for (size_t k = 0; k < terms.size(); ++k) parts[k % panpipe::kParts] += terms[k];
  return panpipe::AddUp(parts);
}

// The terms of a pixel's softmax; those of slots that do not take part are 0.
Floats Terms(const Floats& logits, const std::vector<uint8_t>& takes_part) {
  float best = -INFINITY;
  for (size_t k = 0; k < logits.size(); ++k) {
    if (takes_part[k]) best = std::max(best, logits[k]);
  }
  Floats terms;
  for (size_t k = 0; k < logits.size(); ++k) terms.push_back(takes_part[k] ? Term(logits[k] - best) : 0.0f);
  return terms;
}

Floats LogitsAt(const panpipe::MaskMaps& maps, const panpipe::Resizing& resizing, int64_t y, int64_t x) {
  const panpipe::Tap down = resizing.ys[y], across = resizing.xs[x];
  Floats logits;
  for (int64_t k = 0; k < maps.slots; ++k) {
    const auto along = [&](int64_t row) {
      const float left = panpipe::Clamped(maps.logits[(row * maps.width + across.lower) * maps.slots + k]);
      const float right = panpipe::Clamped(maps.logits[(row * maps.width + across.upper) * maps.slots + k]);
      return left + (right - left) * across.lerp;
    };
    const float top = along(down.lower), bottom = along(down.upper);
    logits.push_back(top + (bottom - top) * down.lerp);
  }
  return logits;
}

struct Slots {
  explicit Slots(int64_t slots) {
    const double living = OneOf<double>({0, 0.3, 0.8, 1}), pasting = OneOf<double>({0.3, 0.8, 1});
    for (int32_t k = 0; k < slots; ++k) {
      label.push_back(static_cast<int32_t>(Between(0, OneOf<int64_t>({0, 2, 20}))));
      number.push_back(k + 1);
      is_thing[k] = label[k] % 2;
      is_alive[k] = std::uniform_real_distribution<>()(generator) < living;
      may_paste[k] = std::uniform_real_distribution<>()(generator) < pasting;
    }
    std::shuffle(number.begin(), number.end(), generator);
  }

  panpipe::SlotFacts facts() const {
    return {label.data(), number.data(), is_thing, is_alive, may_paste, static_cast<int64_t>(label.size())};
  }

  Ints label, number;
  bool is_thing[300], is_alive[300], may_paste[300];
};

struct Maps {
  explicit Maps(int64_t size) : panoptic(size, -1), semantic(size, -1), instance(size, -1), score(size, -1.0f) {}
  Ints panoptic, semantic, instance;
  Floats score;
};

int32_t FirstBest(const Floats& logits, const std::vector<uint8_t>& takes_part) {
  int32_t best = -1;
  for (size_t k = 0; k < logits.size(); ++k) {
    if (takes_part[k] && (best < 0 || logits[k] > logits[best])) best = static_cast<int32_t>(k);
  }
  return best;
}

Maps PredictPlainly(const panpipe::MaskMaps& masks, const Slots& slots, const panpipe::MaskRules& rules, int64_t height,
                    int64_t width) {
  const panpipe::Resizing resizing(masks.height, masks.width, height, width);
  const std::vector<uint8_t> all(masks.slots, 1), alive(slots.is_alive, slots.is_alive + masks.slots);
  const bool is_any_alive = FirstBest(Floats(masks.slots), alive) >= 0;
  Maps maps(height * width);
  Ints owner(height * width, -1);
  std::vector<std::vector<uint8_t>> held(masks.slots, std::vector<uint8_t>(height * width));
  for (int64_t i = 0; i < height * width; ++i) {
    const Floats logits = LogitsAt(masks, resizing, i / width, i % width);
    const int32_t likeliest = FirstBest(logits, all), slot = FirstBest(logits, alive);
    const Floats terms = Terms(logits, alive);
    const float score = 1.0f / Sum(terms);
    maps.semantic[i] = slots.label[likeliest];
    maps.score[i] = is_any_alive ? score : 0.0f;
    maps.instance[i] = 1;
    if (!is_any_alive) continue;
    for (int64_t k = 0; k < masks.slots; ++k) held[k][i] = terms[k] / Sum(terms) > rules.pixel_threshold;
    if (rules.is_maskwise) continue;
    maps.instance[i] = slots.number[slot];
    if (score > rules.pixel_threshold && logits[slot] == logits[likeliest]) owner[i] = slot;
  }
  for (int32_t rank = 1; rules.is_maskwise && rank <= masks.slots; ++rank) {
    const auto found = std::find(slots.number.begin(), slots.number.end(), rank);
    const int32_t slot = static_cast<int32_t>(found - slots.number.begin());
    int64_t all_pixels = 0, free_pixels = 0;
    for (int64_t i = 0; i < height * width; ++i) {
      all_pixels += held[slot][i];
      free_pixels += held[slot][i] && owner[i] < 0;
    }
    const float wanted = rules.overlap_threshold * static_cast<float>(all_pixels);
    if (!slots.may_paste[slot] || !(static_cast<float>(free_pixels) > wanted)) continue;
    for (int64_t i = 0; i < height * width; ++i) {
      if (held[slot][i] && owner[i] < 0) owner[i] = slot, maps.instance[i] = rank;
    }
  }
  std::map<int32_t, int64_t> areas;
  const auto group = [&](int32_t slot) { return slots.is_thing[slot] ? slot : -1 - slots.label[slot]; };
  for (const int32_t slot : owner) {
    if (slot >= 0) ++areas[group(slot)];
  }
  for (int64_t i = 0; i < height * width; ++i) {
    const int32_t slot = owner[i];
    maps.panoptic[i] = rules.void_label * rules.label_divisor;
    if (slot < 0) continue;
    const bool is_thing = slots.is_thing[slot];
    if (areas[group(slot)] < (is_thing ? rules.thing_area_limit : rules.stuff_area_limit)) continue;
    maps.panoptic[i] = slots.label[slot] * rules.label_divisor + (is_thing ? slots.number[slot] : 0);
  }
  return maps;
}

bool MasksAreRight() {
  const int64_t h = Between(1, 8), w = Between(1, 8), kind = Between(0, 4);
  const int64_t stride = kind < 3 ? kind : 4;
  const int64_t height = kind == 0 ? Between(1, 40) : stride * (h - 1) + 1;
  const int64_t width = kind == 0 ? Between(1, 40) : stride * (w - 1) + 1;
  const int64_t num_slots = OneOf<int64_t>({1, 2, 3, 4, 7, 8, 9, 16, 17, 40});
  const Floats logits = DrawLogits(h, w, num_slots);
  const Slots slots(num_slots);
  const panpipe::MaskRules rules = {Between(0, 1) == 1,
                                    OneOf<float>({0, 0.02f, 0.2f, 0.4f, 0.5f, 0.9f, 1}),
                                    OneOf<float>({0, 0.5f, 0.8f, 1}),
                                    OneOf<int64_t>({-1, 0, 3, 30}),
                                    OneOf<int64_t>({0, 5, 60}),
                                    1000,
                                    OneOf<int32_t>({0, 255})};
  const panpipe::MaskMaps masks = {logits.data(), h, w, num_slots};
  const panpipe::SlotFacts facts = slots.facts();
  Maps found(height * width);
  const panpipe::PredictionMaps out = {found.panoptic.data(), found.semantic.data(), found.instance.data(),
                                       found.score.data(), height, width};
  panpipe::MasksOfImage(masks, facts, rules, out).Predict(Between(1, height), [](int64_t n, const auto& work) {
    for (int64_t i = n - 1; i >= 0; --i) work(i);
  });
  const Maps wanted = PredictPlainly(masks, slots, rules, height, width);
  return found.semantic == wanted.semantic && found.instance == wanted.instance && found.score == wanted.score &&
         found.panoptic == wanted.panoptic;
}

template <typename Adder>
bool IsConfident(const Floats& logits, int64_t num_slots, float threshold, const Floats& wanted, const Adder& add) {
  const int64_t pixels = logits.size() / num_slots, middle = Between(0, pixels);
  panpipe::ConfidenceSums sums(num_slots), rest(num_slots);
  add(logits.data(), num_slots, 0, middle, threshold, &sums);
  add(logits.data(), num_slots, middle, pixels, threshold, &rest);
  sums.Add(rest);
  for (int64_t k = 0; k < num_slots; ++k) {
    if (sums.Mean(k) != wanted[k]) return false;
  }
  return true;
}

bool ConfidencesAreRight() {
  const int64_t pixels = Between(1, 60), num_slots = OneOf<int64_t>({1, 2, 7, 8, 16, 17, 40});
  const float threshold = OneOf<float>({0, 0.02f, 0.4f, 0.5f, 1});
  const Floats logits = DrawLogits(1, pixels, num_slots);
  Floats wanted;
  for (int64_t k = 0; k < num_slots; ++k) {
    double steps = 0, count = 0;
    for (int64_t i = 0; i < pixels; ++i) {
      Floats of_pixel;
      for (int64_t j = 0; j < num_slots; ++j) of_pixel.push_back(panpipe::Clamped(logits[i * num_slots + j]));
      const Floats terms = Terms(of_pixel, std::vector<uint8_t>(num_slots, 1));
      const float probability = terms[k] / Sum(terms);
      if (!(probability > threshold)) continue;
      steps += std::nearbyint(probability * 16777216.0f);
      count += 1;
    }
    wanted.push_back(static_cast<float>(steps / std::max(count, 1.0) / 16777216));
  }
  return IsConfident(logits, num_slots, threshold, wanted, panpipe::AddConfidences) &&
         IsConfident(logits, num_slots, threshold, wanted, panpipe::narrow::AddConfidences);
}

bool ExponentialIsClose() {
  for (int i = 0; i <= 20000; ++i) {
    const float x = static_cast<float>(i) * -0.001f;
    if (std::abs(Term(x) - std::exp(static_cast<double>(x))) > 1.5e-7) return false;
  }
  return Term(0) == 1 && Term(-20.001f) == 0 && Term(-3e30f) == 0 && Term(-INFINITY) == 0;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 3) return 2;
  if (!ExponentialIsClose()) return 3;
  const unsigned seed = static_cast<unsigned>(std::atoi(argv[1]));
  for (int round = 0; round < std::atoi(argv[2]); ++round) {
    generator.seed(seed * 1000003u + round);
    const char* wrong = nullptr;
    if (!MasksAreRight()) wrong = "masks";
    if (!ConfidencesAreRight()) wrong = "confidences";
    if (wrong == nullptr) continue;
    std::printf("%s: seed %u, round %d\n", wrong, seed, round);
    return 1;
  }
  return 0;
}
