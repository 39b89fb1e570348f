// SPDX-License-Identifier: Apache-2.0
// What the heads should say of a panoptic map: `model.inputs.targets`, without TensorFlow.
//
// One pass records runs, as in merge.h: a map has a hundred times fewer runs than pixels. Segments gather what their
// centers need, and a second pass writes all six maps run by run. The Gaussians come last, window by window.
#ifndef PANPIPE_CUSTOM_OPS_CC_TARGETS_H_
#define PANPIPE_CUSTOM_OPS_CC_TARGETS_H_

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <vector>

#include "merge.h"

namespace panpipe {

struct TargetRules {
  std::vector<int32_t> thing_ids;  // ascending
  int32_t label_divisor = 1;       // at least 1
  int32_t ignore_label = 0;
  int64_t small_threshold = 0;  // an instance of fewer pixels is small
  float small_weight = 1;

  bool is_thing(int32_t label) const { return std::binary_search(thing_ids.begin(), thing_ids.end(), label); }
};

// A square window of values around a center; `margin` rows and columns lie before the center.
struct Gaussian {
  const float* values;
  int64_t side, margin;
};

struct TargetMaps {  // [height, width] each, offset [height, width, 2]
  int32_t* semantic;
  float* semantic_weight;
  float* center;
  float* center_weight;
  float* offset;
  float* offset_weight;
};

// What all pixels of one panoptic id share.
struct TargetSegment {
  int32_t semantic;
  bool has_center;  // it is an instance, and not void
  float center_weight, offset_weight, semantic_weight;
  int64_t sum_y, sum_x;  // over its pixels
  int32_t y, x;          // the center
};

class TargetsOfImage {
 public:
  TargetsOfImage(const int32_t* panoptic, int64_t height, int64_t width, const TargetRules& rules)
      : height_(height), width_(width) {
    for (int64_t y = 0; y < height; ++y) ReadBand(panoptic, panoptic, y * width, (y + 1) * width, &band_);
    for (const Segment& segment : band_.table.segments()) segments_.push_back(Describe(segment, rules));
    ForEachRun([&](int64_t y, int64_t x, int64_t length, int32_t index) {
      segments_[index].sum_y += y * length;
      segments_[index].sum_x += x * length + length * (length - 1) / 2;
    });
    for (size_t i = 0; i < segments_.size(); ++i) {
      segments_[i].y = Mean(segments_[i].sum_y, band_.table.segments()[i].area);
      segments_[i].x = Mean(segments_[i].sum_x, band_.table.segments()[i].area);
    }
  }

  void Write(const Gaussian& gaussian, const TargetMaps& out) const {
    ForEachRun([&](int64_t y, int64_t x, int64_t length, int32_t index) {
      const TargetSegment& segment = segments_[index];
      const int64_t first = y * width_ + x;
      std::fill_n(out.semantic + first, length, segment.semantic);
      std::fill_n(out.semantic_weight + first, length, segment.semantic_weight);
      std::fill_n(out.center + first, length, 0.0f);
      std::fill_n(out.center_weight + first, length, segment.center_weight);
      std::fill_n(out.offset_weight + first, length, segment.offset_weight);
      if (segment.has_center) {
        WriteOffsets(static_cast<float>(segment.y - static_cast<int32_t>(y)), segment.x - static_cast<int32_t>(x),
                     length, out.offset + 2 * first);
      } else {
        std::fill_n(out.offset + 2 * first, 2 * length, 0.0f);
      }
    });
    for (const TargetSegment& segment : segments_) {
      if (segment.has_center) Draw(gaussian, segment, out.center);
    }
  }

 private:
  static TargetSegment Describe(const Segment& segment, const TargetRules& rules) {
    int32_t semantic = segment.label / rules.label_divisor, rest = segment.label % rules.label_divisor;
    if (rest < 0) {  // rounds down, also below 0
      rest += rules.label_divisor;
      --semantic;
    }
    const bool is_thing = rules.is_thing(semantic), is_void = semantic == rules.ignore_label;
    const bool has_center = rest != 0 && !is_void;
    const bool is_small = has_center && segment.area < rules.small_threshold;
    return {semantic,
            has_center,
            (rest != 0 || !is_thing) && !is_void ? 1.0f : 0.0f,
            is_thing && rest != 0 ? 1.0f : 0.0f,
            is_small ? rules.small_weight : 1.0f,
            0,
            0,
            0,
            0};
  }

  // Halves are rounded to even. The mean is rounded to float32 first, in which the reference computes it.
  static int32_t Mean(int64_t sum, int64_t area) {
    const float mean = static_cast<float>(static_cast<double>(sum) / static_cast<double>(area));
    return static_cast<int32_t>(std::nearbyint(mean));
  }

  static void WriteOffsets(float down, int32_t across, int64_t length, float* offset) {
    for (int32_t i = 0; i < static_cast<int32_t>(length); ++i) {
      offset[2 * i] = down;
      offset[2 * i + 1] = static_cast<float>(across - i);
    }
  }

  // The larger one stays where two windows overlap.
  void Draw(const Gaussian& gaussian, const TargetSegment& segment, float* center) const {
    const int64_t top = segment.y - gaussian.margin, left = segment.x - gaussian.margin;
    const int64_t begin = std::max<int64_t>(left, 0), end = std::min(left + gaussian.side, width_);
    for (int64_t y = std::max<int64_t>(top, 0); y < std::min(top + gaussian.side, height_); ++y) {
      const float* values = gaussian.values + (y - top) * gaussian.side - left;
      float* row = center + y * width_;
      for (int64_t x = begin; x < end; ++x) row[x] = std::max(row[x], values[x]);
    }
  }

  // Calls visit(y, x, length, index of the segment); no run crosses the end of a row.
  template <typename Visit>
  void ForEachRun(const Visit& visit) const {
    int64_t y = 0, x = 0;
    for (const Band::Run& run : band_.runs) {
      visit(y, x, run.length, run.segment);
      x += run.length;
      if (x == width_) {
        x = 0;
        ++y;
      }
    }
  }

  int64_t height_, width_;
  Band band_;
  std::vector<TargetSegment> segments_;
};

}  // namespace panpipe

#endif  // PANPIPE_CUSTOM_OPS_CC_TARGETS_H_
