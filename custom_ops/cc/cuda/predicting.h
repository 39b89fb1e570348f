// SPDX-License-Identifier: Apache-2.0
// Grouping, and the way from heads to predictions, on a device (merging.h says what that is). The host waits once for
// all images, to learn whether centers and segments found room. An image with more of them is predicted on the host.
#ifndef PANPIPE_CUSTOM_OPS_CC_CUDA_PREDICTING_H_
#define PANPIPE_CUSTOM_OPS_CC_CUDA_PREDICTING_H_

#include <cstdint>
#include <vector>

#include "centers.h"
#include "cuda/findings.h"
#include "cuda/merging.h"
#include "cuda/pixels.h"
#include "cuda/ranking.h"
#include "grouping.h"
#include "heads.h"

namespace panpipe {

// Finds the centers of one image after the other in the same memory, without waiting.
template <typename Device>
class CenterFinder {
 public:
  CenterFinder(Device* device, const CenterRules& rules)
      : device_(*device),
        rules_(rules),
        centers_{device->template Allocate<Center>(kCapacity), device->template Allocate<uint8_t>(kCapacity),
                 device->template Allocate<float>(kCapacity), device->template Allocate<float>(kCapacity),
                 device->template Allocate<float>(kCapacity)} {}

  // The result holds until the next call.
  RankedCenters Find(const float* heatmap, int64_t height, int64_t width, Findings* findings) const {
    device_.ForEach(height * width,
                    ListPeaks{heatmap, height, width, rules_.floor(), rules_.nms_kernel, centers_, findings});
    device_.ForEach(kCapacity, KeepPeaks{rules_.keep_k, centers_, findings});
    device_.ForEach(kCapacity, SortCenters{centers_, findings});
    return {{centers_.ys, centers_.xs, centers_.values}, findings};
  }

 private:
  static constexpr int64_t kCapacity = CenterSlots::kCapacity;

  Device& device_;
  CenterRules rules_;
  CenterSlots centers_;
};

// Calls work(i) for i = 0 .. n - 1.
constexpr auto kInTurn = [](int64_t n, const auto& work) {
  for (int64_t i = 0; i < n; ++i) work(i);
};

// Groups the things of one image on the host.
template <typename Device>
void GroupOnHost(Device* device, const ThingMaps& maps, int64_t keep_k) {
  const int64_t pixels = maps.height * maps.width;
  const std::vector<float> peaks = device->Download(maps.peaks, pixels);
  const std::vector<float> offset = device->Download(maps.offset, 2 * pixels);
  const std::vector<uint8_t> is_thing = device->Download(reinterpret_cast<const uint8_t*>(maps.is_thing), pixels);
  std::vector<int32_t> instance(pixels);
  std::vector<float> score(pixels);
  GroupImage({peaks.data(), offset.data(), reinterpret_cast<const bool*>(is_thing.data()), instance.data(),
              score.data(), maps.height, maps.width},
             keep_k, kInTurn);
  device->Write(maps.instance, instance);
  device->Write(maps.score, score);
}

// Groups things as GroupImage does.
template <typename Device>
void GroupOnDevice(Device* device, const std::vector<ThingMaps>& images, int64_t keep_k) {
  CenterRules rules = kPositive;
  rules.keep_k = keep_k;
  Findings* const findings = StartFindings(device, images.size());
  const CenterFinder<Device> finder(device, rules);
  for (size_t i = 0; i < images.size(); ++i) {
    const ThingMaps& maps = images[i];
    const RankedCenters centers = finder.Find(maps.peaks, maps.height, maps.width, findings + i);
    device->ForEach(maps.height * maps.width,
                    GroupThings{centers, maps.offset, maps.is_thing, maps.width, maps.instance, maps.score});
  }
  const std::vector<Findings> found = device->Download(findings, images.size());
  for (size_t i = 0; i < images.size() && device->is_ok(); ++i) {
    if (!found[i].has_room()) GroupOnHost(device, images[i], keep_k);
  }
}

struct HeadsAndMaps {  // of one image, on the device
  HeadMaps heads;
  PredictionMaps out;
};

struct HeadRules {
  CenterRules centers;
  MergeRules merge;
};

// Makes the prediction of one image on the host.
template <typename Device>
void PredictOnHost(Device* device, const HeadsAndMaps& image, const HeadRules& rules) {
  const HeadMaps& heads = image.heads;
  const int64_t in_pixels = heads.height * heads.width, pixels = image.out.height * image.out.width;
  const std::vector<float> logits = device->Download(heads.logits, in_pixels * heads.classes);
  const std::vector<float> heatmap = device->Download(heads.heatmap, in_pixels);
  const std::vector<float> offset = device->Download(heads.offset, 2 * in_pixels);
  std::vector<int32_t> panoptic(pixels), semantic(pixels), instance(pixels);
  std::vector<float> score(pixels);
  const HeadMaps here = {logits.data(), heatmap.data(), offset.data(), heads.height, heads.width, heads.classes};
  const PredictionMaps out = {panoptic.data(), semantic.data(),  instance.data(),
                              score.data(),    image.out.height, image.out.width};
  HeadsOfImage(here, rules.centers, rules.merge, out).Predict(1, kInTurn);
  device->Write(image.out.panoptic, panoptic);
  device->Write(image.out.semantic, semantic);
  device->Write(image.out.instance, instance);
  device->Write(image.out.score, score);
}

// Enqueues what makes the prediction of one image.
template <typename Device>
void StartPrediction(Device* device, const HeadsAndMaps& image, const CenterFinder<Device>& finder,
                     const SegmentMerger<Device>& merger, Findings* findings) {
  const HeadMaps& heads = image.heads;
  const PredictionMaps& out = image.out;
  const Grid grid(heads.height, heads.width, out.height, out.width);
  const int64_t pixels = out.height * out.width;
  device->ForEach(pixels, WriteLabel{heads.logits, heads.classes, grid, out.semantic});
  const float* heatmap = grid.is_copy ? heads.heatmap : out.score;  // until the scores are known
  if (!grid.is_copy) device->ForEach(pixels, WriteHeatmap{heads.heatmap, grid, out.score});
  const RankedCenters centers = finder.Find(heatmap, out.height, out.width, findings);
  device->ForEach(pixels, GroupLabels{centers, heads.offset, Growth(heads.height, out.height),
                                      Growth(heads.width, out.width), grid, out.semantic, merger.things(),
                                      out.instance, out.score});
  merger.Merge({out.semantic, out.instance, out.panoptic, pixels}, findings);
}

// Makes predictions. Labels are classes, so that none is out of range.
template <typename Device>
void PredictOnDevice(Device* device, const std::vector<HeadsAndMaps>& images, const HeadRules& rules) {
  Findings* const findings = StartFindings(device, images.size());
  const CenterFinder<Device> finder(device, rules.centers);
  const SegmentMerger<Device> merger(device, rules.merge);
  for (size_t i = 0; i < images.size(); ++i) StartPrediction(device, images[i], finder, merger, findings + i);
  const std::vector<Findings> found = device->Download(findings, images.size());
  for (size_t i = 0; i < images.size() && device->is_ok(); ++i) {
    if (!found[i].has_room()) PredictOnHost(device, images[i], rules);
  }
}

}  // namespace panpipe

#endif  // PANPIPE_CUSTOM_OPS_CC_CUDA_PREDICTING_H_
