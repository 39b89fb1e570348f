// SPDX-License-Identifier: Apache-2.0
// The merge of images on a device, by segments.h. The host waits once for all images, to learn whether labels are in
// range and segments found room. An image with more segments than there is room for is merged on the host.
//
// A Device has memory of its own and runs threads over it, one step after the other:
//   T* Allocate<T>(n)            memory until the device goes
//   T* Upload(vector<T>)         a copy there
//   void Write(T*, vector<T>)    the same, to where there is room
//   vector<T> Download(T*, n)    a copy here, of what all steps so far have made of it; the host waits for them
//   void ForEach(n, work)        calls work(i) for i = 0 .. n - 1, in any order and at once; the host does not wait
//   bool is_ok()                 false once anything failed; it then does nothing more, and downloads zeros
#ifndef PANPIPE_CUSTOM_OPS_CC_CUDA_MERGING_H_
#define PANPIPE_CUSTOM_OPS_CC_CUDA_MERGING_H_

#include <cstdint>
#include <vector>

#include "cuda/findings.h"
#include "cuda/segments.h"
#include "merge.h"

namespace panpipe {

struct MergeMaps {  // of one image, on the device
  const int32_t *semantic, *instance;
  int32_t* panoptic;  // neither of the others
  int64_t pixels;
};

template <typename Device>
Findings* StartFindings(Device* device, int64_t num_images) {
  Findings* findings = device->template Allocate<Findings>(num_images);
  device->ForEach(num_images, ClearFindings{findings});
  return findings;
}

// Merges one image after the other in the same memory, without waiting.
template <typename Device>
class SegmentMerger {
 public:
  SegmentMerger(Device* device, const MergeRules& rules)
      : device_(*device),
        largest_label_(static_cast<int32_t>(rules.largest_label())),
        rules_(rules.ids()),
        things_{device->Upload(rules.thing_ids), static_cast<int64_t>(rules.thing_ids.size())},
        slots_{device->template Allocate<Atomic>(kSlots), device->template Allocate<Atomic>(kSlots),
               device->template Allocate<int32_t>(kSlots), device->template Allocate<int32_t>(kSlots),
               device->template Allocate<int32_t>(kSlots)} {}

  const ThingIds& things() const { return things_; }

  void Merge(const MergeMaps& maps, Findings* findings) const {
    device_.ForEach(kSlots, ClearSlots{slots_});
    device_.ForEach((maps.pixels + CountSegments::kPixels - 1) / CountSegments::kPixels,
                    CountSegments{maps.semantic, maps.instance, maps.pixels, largest_label_, slots_, findings,
                                  maps.panoptic});
    device_.ForEach(kSlots, LabelSegments{slots_, things_, rules_, findings});
    device_.ForEach(kSlots, NumberThingSegments{slots_, things_, rules_, findings});
    device_.ForEach(maps.pixels, WriteIds{slots_.ids, findings, maps.panoptic});
  }

 private:
  static constexpr int64_t kSlots = SegmentSlots::kSlots;

  Device& device_;
  int32_t largest_label_;
  IdRules rules_;
  ThingIds things_;
  SegmentSlots slots_;
};

// Merges one image on the host. Returns false where a label is out of range, as MergeOnDevice does.
template <typename Device>
bool MergeOnHost(Device* device, const MergeRules& rules, const MergeMaps& maps, int32_t* bad_label) {
  const std::vector<int32_t> semantic = device->Download(maps.semantic, maps.pixels);
  const std::vector<int32_t> instance = device->Download(maps.instance, maps.pixels);
  Band band;
  ReadBand(semantic.data(), instance.data(), 0, maps.pixels, &band);
  if (FindBadLabel(&band, &band + 1, rules, bad_label)) return false;
  NumberSegments(&band, &band + 1, rules);
  std::vector<int32_t> panoptic(maps.pixels);
  WriteBand(band, maps.pixels, panoptic.data());
  device->Write(maps.panoptic, panoptic);
  return true;
}

// Returns false where a label is out of range, and which one: the first, in order of images and pixels.
template <typename Device>
bool MergeOnDevice(Device* device, const MergeRules& rules, const std::vector<MergeMaps>& images, int32_t* bad_label) {
  Findings* const findings = StartFindings(device, images.size());
  const SegmentMerger<Device> merger(device, rules);
  for (size_t i = 0; i < images.size(); ++i) merger.Merge(images[i], findings + i);
  const std::vector<Findings> found = device->Download(findings, images.size());
  for (size_t i = 0; i < images.size() && device->is_ok(); ++i) {
    if (!found[i].has_room()) {  // then nothing else is known for sure
      if (!MergeOnHost(device, rules, images[i], bad_label)) return false;
    } else if (found[i].bad_pixel != Findings::kNone) {
      *bad_label = device->Download(images[i].semantic + found[i].bad_pixel, 1)[0];
      return false;
    }
  }
  return true;
}

}  // namespace panpipe

#endif  // PANPIPE_CUSTOM_OPS_CC_CUDA_MERGING_H_
