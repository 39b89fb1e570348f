// SPDX-License-Identifier: Apache-2.0
// How sure a network is of each instance, added up over its pixels in the order of model/postprocess/scores.py.
#ifndef PANPIPE_CUSTOM_OPS_CC_SCORES_H_
#define PANPIPE_CUSTOM_OPS_CC_SCORES_H_

#include <algorithm>
#include <cstdint>
#include <limits>
#include <vector>

#include "bilinear.h"

namespace panpipe {

// The prediction of one image, [height, width] each.
struct PredictedMaps {
  const int32_t* panoptic;
  const int32_t* semantic;
  const int32_t* instance;  // numbers of centers from 1; 0 where there is none
  const float* score;
  int64_t height, width;
};

// Class probabilities [height, width, depth], at any resolution.
struct Probabilities {
  const float* values;
  int64_t height, width, depth;
};

// Whether a class id is a thing; ids beyond the table are none.
struct ThingTable {
  bool Has(int32_t label) const { return label >= 0 && label < size && is_thing[label]; }

  const bool* is_thing;
  int64_t size;
};

// Sums by number of the instance.
struct InstanceSums {
  explicit InstanceSums(int64_t size)
      : ids(size, std::numeric_limits<int32_t>::min()), pixels(size), probability(size), score(size) {}

  std::vector<int32_t> ids;  // the largest panoptic id, which all pixels of an instance share
  std::vector<float> pixels, probability, score;
};

// Adds up over the pixels of things: those that have a center, or without any center those of a thing's class.
inline InstanceSums AddUpInstances(const PredictedMaps& maps, const Probabilities& probabilities,
                                   const ThingTable& things, int32_t label_divisor) {
  const int64_t pixels = maps.height * maps.width, depth = probabilities.depth;
  int32_t largest = 0;
  for (int64_t i = 0; i < pixels; ++i) largest = std::max(largest, maps.instance[i]);
  InstanceSums sums(int64_t{largest} + 1);
  const Axis rows(probabilities.height, maps.height);
  const std::vector<Tap> columns = Taps(probabilities.width, maps.width);
  for (int64_t y = 0, i = 0; y < maps.height; ++y) {
    const Tap row = rows.At(y);
    const float* upper = probabilities.values + row.lower * probabilities.width * depth;
    const float* lower = probabilities.values + row.upper * probabilities.width * depth;
    for (int64_t x = 0; x < maps.width; ++x, ++i) {
      const int32_t number = maps.instance[i];
      if (largest > 0 ? number <= 0 : number < 0 || !things.Has(maps.semantic[i])) continue;
      const int32_t id = maps.panoptic[i];
      const int64_t channel = std::min<int64_t>(std::max(id / label_divisor, 0), depth - 1);  // void is left out later
      const int64_t left = columns[x].lower * depth + channel, right = columns[x].upper * depth + channel;
      const float across = columns[x].lerp;
      sums.probability[number] +=
          Lerp(Lerp(upper[left], upper[right], across), Lerp(lower[left], lower[right], across), row.lerp);
      sums.score[number] += maps.score[i];
      sums.pixels[number] += 1;
      sums.ids[number] = std::max(sums.ids[number], id);
    }
  }
  return sums;
}

}  // namespace panpipe

#endif  // PANPIPE_CUSTOM_OPS_CC_SCORES_H_
