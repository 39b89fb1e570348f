// SPDX-License-Identifier: Apache-2.0
// Random images on a device (cuda/merging.h says what that is) against the CPU's headers, bit for bit. The device is a
// stand-in on the host for cuda_test.cc, and a GPU for cuda_alone.cu. Beside the rest it has
//   int num_waits()   how often the host has waited for it
#ifndef PANPIPE_TESTS_CUSTOM_OPS_CUDA_CASES_H_
#define PANPIPE_TESTS_CUSTOM_OPS_CUDA_CASES_H_

#include <cmath>
#include <cstdlib>
#include <cstring>
#include <limits>
#include <vector>

#include "cuda/predicting.h"

namespace cases {

using Bytes = std::vector<uint8_t>;
using Ints = std::vector<int32_t>;
using Floats = std::vector<float>;

inline int64_t Between(int64_t smallest, int64_t largest) {
  return smallest + std::rand() % (largest - smallest + 1);
}

template <typename T>
T OneOf(const std::vector<T>& values) {
  return values[std::rand() % values.size()];
}

template <typename T>
bool IsSame(const std::vector<T>& one, const std::vector<T>& other) {
  return one.size() == other.size() && std::memcmp(one.data(), other.data(), one.size() * sizeof(T)) == 0;
}

inline panpipe::MergeRules DrawRules() {
  return {OneOf<Ints>({{}, {3}, {3, 5, 9}, {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11}}), OneOf<int32_t>({1, 2, 50, 1000}),
          OneOf<int32_t>({0, 3, 40}), OneOf<int32_t>({0, 3, 255})};
}

struct Labels {
  Ints semantic, instance;
};

// Draws runs of equal pixels, about so long, of so many instances.
inline Labels DrawLabels(int64_t pixels, int run, int ids) {
  constexpr int32_t kMost = std::numeric_limits<int32_t>::max();
  Labels labels;
  for (int64_t i = 0; i < pixels; ++i) {
    const bool is_new = i == 0 || std::rand() % run == 0;
    labels.semantic.push_back(is_new ? std::rand() % 12 : labels.semantic.back());
    labels.instance.push_back(is_new ? OneOf<int32_t>({std::rand() % ids, -std::rand() % ids, kMost, -kMost - 1})
                                     : labels.instance.back());
  }
  return labels;
}

// Spoils a label in the middle and one at the end; the first counts, whichever thread says so first. Returns it.
inline int32_t Spoil(const panpipe::MergeRules& rules, Ints* semantic) {
  const size_t middle = semantic->size() / 2;
  (*semantic)[middle] = rules.label_divisor == 1 ? -5 : static_cast<int32_t>(rules.largest_label()) + 1;
  if (middle + 1 < semantic->size()) semantic->back() = -7;
  return (*semantic)[middle];
}

inline Ints MergeOnCpu(const Labels& labels, const panpipe::MergeRules& rules) {
  panpipe::Band band;
  panpipe::ReadBand(labels.semantic.data(), labels.instance.data(), 0, labels.semantic.size(), &band);
  panpipe::NumberSegments(&band, &band + 1, rules);
  Ints panoptic(labels.semantic.size());
  panpipe::WriteBand(band, panoptic.size(), panoptic.data());
  return panoptic;
}

// How often the host may wait: once, unless images are too much for the device.
enum class Waits { kOnce, kAny };

template <typename Device>
bool MergeIsRight(Device* device, const std::vector<Labels>& images, const panpipe::MergeRules& rules, Waits waits) {
  std::vector<panpipe::MergeMaps> maps;
  for (const Labels& each : images) {
    const int64_t pixels = each.semantic.size();
    maps.push_back({device->Upload(each.semantic), device->Upload(each.instance),
                    device->template Allocate<int32_t>(pixels), pixels});
  }
  int32_t bad = 0;
  if (!panpipe::MergeOnDevice(device, rules, maps, &bad)) return false;
  if (waits == Waits::kOnce && device->num_waits() != 1) return false;
  for (size_t i = 0; i < images.size(); ++i) {
    if (!IsSame(device->Download(maps[i].panoptic, maps[i].pixels), MergeOnCpu(images[i], rules))) return false;
  }
  Ints semantic = images.back().semantic;
  const int32_t wanted = Spoil(rules, &semantic);
  device->Write(const_cast<int32_t*>(maps.back().semantic), semantic);
  return !panpipe::MergeOnDevice(device, rules, maps, &bad) && bad == wanted;
}

// Draws numbers, some of them equal, and where they are wild not even finite.
inline Floats Draw(int64_t count, float scale, bool is_wild) {
  constexpr float kInfinity = std::numeric_limits<float>::infinity();
  Floats values(count);
  for (float& value : values) {
    value = scale * (static_cast<float>(std::rand()) / static_cast<float>(RAND_MAX) - 0.5f);
    if (std::rand() % 2) value = std::floor(4 * value) / 4;
    if (is_wild && std::rand() % 12 == 0) {
      value = OneOf<float>({kInfinity, -kInfinity, NAN, 3e38f, std::numeric_limits<float>::lowest(), 1e-40f, -0.0f});
    }
  }
  return values;
}

// One of `sparsity` pixels may be a peak.
template <typename Device>
bool GroupIsRight(Device* device, int64_t height, int64_t width, int64_t sparsity, bool is_wild, Waits waits) {
  const int64_t pixels = height * width, keep_k = OneOf<int64_t>({-1, 0, 1, 5, 200});
  Floats peaks = Draw(pixels, 2, is_wild);
  for (float& value : peaks) value = std::rand() % sparsity ? 0.0f : value;
  const Floats offset = Draw(2 * pixels, OneOf<float>({1, 20, 5000}), is_wild);
  Bytes is_thing(pixels);
  for (uint8_t& each : is_thing) each = std::rand() % 3 > 0;
  Ints wanted(pixels);
  Floats wanted_score(pixels);
  panpipe::GroupImage({peaks.data(), offset.data(), reinterpret_cast<const bool*>(is_thing.data()), wanted.data(),
                       wanted_score.data(), height, width},
                      keep_k, panpipe::kInTurn);
  const panpipe::ThingMaps maps = {device->Upload(peaks),
                                   device->Upload(offset),
                                   reinterpret_cast<const bool*>(device->Upload(is_thing)),
                                   device->template Allocate<int32_t>(pixels),
                                   device->template Allocate<float>(pixels),
                                   height,
                                   width};
  panpipe::GroupOnDevice(device, {maps}, keep_k);
  if (waits == Waits::kOnce && device->num_waits() != 1) return false;
  return IsSame(device->Download(maps.instance, pixels), wanted) &&
         IsSame(device->Download(maps.score, pixels), wanted_score);
}

struct Heads {
  panpipe::HeadMaps maps() const { return {logits.data(), heatmap.data(), offset.data(), height, width, classes}; }

  Floats logits, heatmap, offset;
  int64_t height, width, classes;
};

inline Heads DrawHeads(int64_t height, int64_t width, bool is_wild) {
  const int64_t classes = OneOf<int64_t>({1, 2, 5, 19}), pixels = height * width;
  return {Draw(pixels * classes, 8, is_wild),
          Draw(pixels, 2, is_wild),
          Draw(2 * pixels, OneOf<float>({1, 20, 5000}), is_wild),
          height,
          width,
          classes};
}

inline panpipe::HeadRules DrawHeadRules() {
  return {{OneOf<float>({-1, 0, 0.1f, 0.5f, NAN}), OneOf<int64_t>({1, 2, 3, 7, 13}),
           OneOf<int64_t>({-1, 0, 1, 5, 200})},
          DrawRules()};
}

// Predicts images of heads [height, width] each, all at once.
template <typename Device>
bool HeadsAreRight(Device* device, const std::vector<Heads>& images, const panpipe::HeadRules& rules, int64_t height,
                   int64_t width, Waits waits) {
  const int64_t pixels = height * width;
  std::vector<panpipe::HeadsAndMaps> there;
  for (const Heads& heads : images) {
    there.push_back({{device->Upload(heads.logits), device->Upload(heads.heatmap), device->Upload(heads.offset),
                      heads.height, heads.width, heads.classes},
                     {device->template Allocate<int32_t>(pixels), device->template Allocate<int32_t>(pixels),
                      device->template Allocate<int32_t>(pixels), device->template Allocate<float>(pixels), height,
                      width}});
  }
  panpipe::PredictOnDevice(device, there, rules);
  if (waits == Waits::kOnce && device->num_waits() != 1) return false;
  for (size_t i = 0; i < images.size(); ++i) {
    const panpipe::HeadMaps heads = images[i].maps();
    Ints panoptic(pixels), semantic(pixels), instance(pixels);
    Floats score(pixels);
    const panpipe::PredictionMaps wanted = {panoptic.data(), semantic.data(), instance.data(), score.data(), height,
                                            width};
    panpipe::HeadsOfImage(heads, rules.centers, rules.merge, wanted).Predict(1, panpipe::kInTurn);
    const panpipe::PredictionMaps& found = there[i].out;
    if (!IsSame(device->Download(found.semantic, pixels), semantic) ||
        !IsSame(device->Download(found.instance, pixels), instance) ||
        !IsSame(device->Download(found.score, pixels), score) ||
        !IsSame(device->Download(found.panoptic, pixels), panoptic)) {
      return false;
    }
  }
  return true;
}

// Runs one round of small cases. make() gives a device for each. Returns null, or what differs.
template <typename MakeDevice>
const char* SmallCases(int round, const MakeDevice& make) {
  const bool is_wild = round % 2;
  auto device = make();
  if (!MergeIsRight(device.get(), {DrawLabels(Between(1, 60), 3, 5)}, DrawRules(), Waits::kOnce)) {
    return "merge of few pixels";
  }
  std::vector<Labels> images;
  for (int i = round % 3; i >= 0; --i) {
    images.push_back(DrawLabels(Between(1, 3000), OneOf<int>({1, 5, 100}), OneOf<int>({1, 7, 400})));
  }
  device = make();
  if (!MergeIsRight(device.get(), images, DrawRules(), Waits::kOnce)) return "merge";
  device = make();
  const int64_t sparsity = OneOf<int64_t>({1, 10, 1000});
  if (!GroupIsRight(device.get(), Between(1, 20), Between(1, 30), sparsity, is_wild, Waits::kOnce)) return "grouping";
  for (const bool is_copy : {false, true}) {
    std::vector<Heads> heads;
    int64_t h = Between(1, 9), w = Between(1, 9);
    for (int i = round % 3; i >= 0; --i) heads.push_back(DrawHeads(h, w, is_wild));
    if (!is_copy) h = Between(1, 30), w = Between(1, 30);
    device = make();
    if (!HeadsAreRight(device.get(), heads, DrawHeadRules(), h, w, Waits::kOnce)) {
      return is_copy ? "prediction at the heads' size" : "prediction";
    }
  }
  return nullptr;
}

// Runs images with nearly as many, and with more segments and centers than a device has room for.
template <typename MakeDevice>
const char* LargeCases(const MakeDevice& make) {
  const panpipe::MergeRules rules = {{3, 5, 9}, 1000, 3, 255};
  auto device = make();
  if (!MergeIsRight(device.get(), {DrawLabels(4000, 1, 1 << 20)}, rules, Waits::kOnce)) {
    return "merge of thousands of segments";
  }
  device = make();
  const std::vector<Labels> images = {DrawLabels(500, 9, 9), DrawLabels(90000, 1, 1 << 30), DrawLabels(500, 9, 9)};
  if (!MergeIsRight(device.get(), images, rules, Waits::kAny)) return "merge where a table is full";
  device = make();
  if (!MergeIsRight(device.get(), {images[1]}, rules, Waits::kAny)) return "bad label where a table is full";
  device = make();
  if (!GroupIsRight(device.get(), 50, 60, 1, false, Waits::kOnce)) return "grouping around thousands of centers";
  device = make();
  if (!GroupIsRight(device.get(), 80, 180, 1, false, Waits::kAny)) return "grouping around too many centers";
  Heads flat = DrawHeads(40, 30, false);
  flat.heatmap.assign(flat.heatmap.size(), 0.5f);  // so that each pixel is a peak
  const Heads usual = {Draw(40 * 30 * flat.classes, 8, false), Draw(40 * 30, 2, false), Draw(2 * 40 * 30, 20, false),
                       40, 30, flat.classes};
  device = make();
  const panpipe::HeadRules head_rules = {{0.1f, 7, 0}, rules};
  if (!HeadsAreRight(device.get(), {usual, flat, usual}, head_rules, 77, 59, Waits::kAny)) {
    return "prediction around too many centers";
  }
  return nullptr;
}

}  // namespace cases

#endif  // PANPIPE_TESTS_CUSTOM_OPS_CUDA_CASES_H_
