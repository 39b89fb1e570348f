// SPDX-License-Identifier: Apache-2.0
// From the heads of one image, at the decoder's stride, to its prediction at full resolution.
//
// An image is processed in bands of rows, by any number of threads; the result does not depend on the bands. Nothing
// of full resolution is held but the prediction: logits are resized cell by cell, offsets row by row, and the resized
// heat-map lies in the place of the scores until they are known.
#ifndef PANPIPE_CUSTOM_OPS_CC_HEADS_H_
#define PANPIPE_CUSTOM_OPS_CC_HEADS_H_

#include <algorithm>
#include <cstdint>
#include <vector>

#include "bilinear.h"
#include "centers.h"
#include "grouping.h"
#include "merge.h"
#include "semantic.h"

namespace panpipe {

struct HeadMaps {
  const float* logits;   // [height, width, classes]
  const float* heatmap;  // [height, width]
  const float* offset;   // [height, width, 2]
  int64_t height, width, classes;
};

struct PredictionMaps {  // [height, width] each
  int32_t* panoptic;
  int32_t* semantic;
  int32_t* instance;
  float* score;
  int64_t height, width;
};

class HeadsOfImage {
 public:
  HeadsOfImage(const HeadMaps& heads, const CenterRules& center_rules, const MergeRules& merge_rules,
               const PredictionMaps& out)
      : heads_(heads),
        center_rules_(center_rules),
        merge_rules_(merge_rules),
        out_(out),
        resizing_(heads.height, heads.width, out.height, out.width) {
    for (int64_t k = 0; k < heads.classes; ++k) is_thing_.push_back(merge_rules.is_thing(static_cast<int32_t>(k)));
  }

  // Runs all steps. for_each(n, work) calls work(i) for i = 0 .. n - 1, in any order or at once.
  template <typename ForEach>
  void Predict(int64_t num_bands, const ForEach& for_each) {
    std::vector<std::vector<Center>> peaks(num_bands);
    std::vector<Band> bands(num_bands);
    const auto first_row = [&](int64_t band) { return band * out_.height / num_bands; };
    for_each(num_bands, [&](int64_t i) { Resize(first_row(i), first_row(i + 1)); });
    for_each(num_bands, [&](int64_t i) {
      FindPeaks(heatmap(), out_.height, out_.width, center_rules_, first_row(i), first_row(i + 1), &peaks[i]);
    });
    std::vector<Center> centers;
    for (const std::vector<Center>& part : peaks) centers.insert(centers.end(), part.begin(), part.end());
    KeepStrongest(center_rules_.keep_k, &centers);
    const NearestCenter nearest(centers, out_.height, out_.width);
    const CenterLists lists = nearest.lists();
    for_each(num_bands, [&](int64_t i) { Group(lists, first_row(i), first_row(i + 1), &bands[i]); });
    NumberSegments(bands.data(), bands.data() + num_bands, merge_rules_);
    for_each(num_bands, [&](int64_t i) {
      const int64_t rows = first_row(i + 1) - first_row(i);
      WriteBand(bands[i], rows * out_.width, out_.panoptic + first_row(i) * out_.width);
    });
  }

 private:
  // The heat-map at full resolution, from `Resize` until `Group`.
  const float* heatmap() const { return resizing_.is_copy ? heads_.heatmap : out_.score; }

  void Resize(int64_t begin, int64_t end) {
    WriteLabels(heads_.logits, heads_.classes, resizing_, begin, end, out_.semantic);
    if (resizing_.is_copy) return;
    RowResizer<1> resizer(heads_.heatmap, resizing_, {1.0f});
    for (int64_t y = begin; y < end; ++y) resizer.Write(y, 0, out_.width, out_.score + y * out_.width);
  }

  void Group(const CenterLists& centers, int64_t begin, int64_t end, Band* band) {
    const int64_t width = out_.width;
    RowResizer<2> resizer(heads_.offset, resizing_,
                          {Growth(heads_.height, out_.height), Growth(heads_.width, width)});
    std::vector<float> offset(2 * width);
    for (int64_t y = begin; y < end; ++y) {
      const int32_t* semantic = out_.semantic + y * width;
      int32_t* instance = out_.instance + y * width;
      float* score = out_.score + y * width;
      for (int64_t x = 0; x < width;) {
        const int64_t stop = RunEnd(semantic, semantic, x, width);
        if (is_thing_[semantic[x]] && centers.num_centers > 0) {
          resizer.Write(y, x, stop, offset.data());
          GroupRun(centers, y, x, stop, offset.data(), instance, score);
        } else {
          std::fill(instance + x, instance + stop, 0);
          std::fill(score + x, score + stop, 0.0f);
        }
        x = stop;
      }
      ReadBand(out_.semantic, out_.instance, y * width, (y + 1) * width, band);
    }
  }

  const HeadMaps& heads_;
  const CenterRules& center_rules_;
  const MergeRules& merge_rules_;
  const PredictionMaps& out_;
  const Resizing resizing_;
  std::vector<uint8_t> is_thing_;  // of each class
};

}  // namespace panpipe

#endif  // PANPIPE_CUSTOM_OPS_CC_HEADS_H_
