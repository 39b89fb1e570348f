// SPDX-License-Identifier: Apache-2.0
// Grouping, and the way from the heads of one image to its prediction, on a device (merging.h says what that is):
// pixels by pixels.h there, centers, which are few, by centers.h and grouping.h here.
#ifndef PANPIPE_CUSTOM_OPS_CC_CUDA_PREDICTING_H_
#define PANPIPE_CUSTOM_OPS_CC_CUDA_PREDICTING_H_

#include <algorithm>
#include <cstdint>
#include <type_traits>
#include <utility>
#include <vector>

#include "centers.h"
#include "cuda/merging.h"
#include "cuda/pixels.h"
#include "grouping.h"
#include "heads.h"

namespace panpipe {

// Finds the centers of a heat-map [height, width] on the device, in row-major order.
template <typename Device>
std::vector<Center> FindCenters(Device* device, const float* heatmap, int64_t height, int64_t width,
                                const CenterRules& rules) {
  constexpr Atomic kUsualCenters = 1 << 12;
  Atomic* count = device->template Allocate<Atomic>(1);
  Center* found = nullptr;
  Atomic num_centers = kUsualCenters;
  for (Atomic capacity = 0; num_centers > capacity;) {
    capacity = num_centers;
    found = device->template Allocate<Center>(capacity);
    device->Fill(count, 1, 0);
    device->ForEach(height * width,
                    ListPeaks{heatmap, height, width, rules.floor(), rules.nms_kernel, found, capacity, count});
    num_centers = device->Download(count, 1)[0];
  }
  std::vector<Center> centers = device->Download(found, num_centers);
  std::sort(centers.begin(), centers.end(),
            [](const Center& a, const Center& b) { return std::make_pair(a.y, a.x) < std::make_pair(b.y, b.x); });
  KeepStrongest(rules.keep_k, &centers);
  return centers;
}

// Makes the lists for a search on the device.
template <typename Device>
CenterLists UploadLists(Device* device, const NearestCenter& nearest) {
  CenterLists lists = nearest.lists();
  const auto upload = [device](auto** array, int64_t size) {
    using Value = std::remove_const_t<std::remove_pointer_t<std::remove_pointer_t<decltype(array)>>>;
    *array = device->Upload(std::vector<Value>(*array, *array + size));
  };
  upload(&lists.ys, lists.num_centers);
  upload(&lists.xs, lists.num_centers);
  upload(&lists.values, lists.num_centers);
  upload(&lists.tiles, lists.rows * lists.columns);
  upload(&lists.indices, lists.num_indices);
  return lists;
}

struct ThingMaps {  // of one image, on the device
  const float* peaks;
  const float* offset;  // with two channels
  const bool* is_thing;
  int32_t* instance;
  float* score;
  int64_t height, width;
};

template <typename Device>
void GroupOnDevice(Device* device, const ThingMaps& maps, int64_t keep_k) {
  CenterRules rules = kPositive;
  rules.keep_k = keep_k;
  const NearestCenter nearest(FindCenters(device, maps.peaks, maps.height, maps.width, rules), maps.height, maps.width);
  device->ForEach(maps.height * maps.width, GroupThings{UploadLists(device, nearest), maps.offset, maps.is_thing,
                                                        maps.width, maps.instance, maps.score});
}

// Makes the prediction of one image. All maps lie on the device.
template <typename Device>
void PredictOnDevice(Device* device, const HeadMaps& heads, const CenterRules& center_rules,
                     const MergeRules& merge_rules, const PredictionMaps& out) {
  const Grid grid(heads.height, heads.width, out.height, out.width);
  const int64_t pixels = out.height * out.width;
  device->ForEach(pixels, WriteLabel{heads.logits, heads.classes, grid, out.semantic});
  const float* heatmap = grid.is_copy ? heads.heatmap : out.score;  // until the scores are known
  if (!grid.is_copy) device->ForEach(pixels, WriteHeatmap{heads.heatmap, grid, out.score});
  const NearestCenter nearest(FindCenters(device, heatmap, out.height, out.width, center_rules), out.height,
                              out.width);
  std::vector<uint8_t> is_thing(heads.classes);
  for (int64_t k = 0; k < heads.classes; ++k) is_thing[k] = merge_rules.is_thing(static_cast<int32_t>(k));
  device->ForEach(pixels, GroupLabels{UploadLists(device, nearest), heads.offset, Growth(heads.height, out.height),
                                      Growth(heads.width, out.width), grid, out.semantic, device->Upload(is_thing),
                                      out.instance, out.score});
  int32_t bad_label;  // there is none: labels are classes
  MergeOnDevice<Device>(device, merge_rules).Merge({out.semantic, out.instance, out.panoptic, pixels}, &bad_label);
}

}  // namespace panpipe

#endif  // PANPIPE_CUSTOM_OPS_CC_CUDA_PREDICTING_H_
