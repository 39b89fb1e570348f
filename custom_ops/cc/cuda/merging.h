// SPDX-License-Identifier: Apache-2.0
// The merge of one image on a device: pixels by segments.h there, segments by merge.h here.
//
// A Device has memory of its own and runs threads over it, one step after the other:
//   T* Allocate<T>(n)            memory until the device goes
//   void Fill(T*, n, byte)       sets all bytes
//   T* Upload(vector<T>)         a copy there
//   vector<T> Download(T*, n)    a copy here, of what all steps so far have made of it
//   void ForEach(n, work)        calls work(i) for i = 0 .. n - 1, in any order and at once
//   bool is_ok()                 false once anything failed; it then does nothing more, and downloads zeros
#ifndef PANPIPE_CUSTOM_OPS_CC_CUDA_MERGING_H_
#define PANPIPE_CUSTOM_OPS_CC_CUDA_MERGING_H_

#include <cstdint>
#include <vector>

#include "cuda/segments.h"
#include "merge.h"

namespace panpipe {

struct MergeMaps {  // of one image, on the device
  const int32_t *semantic, *instance;
  int32_t* panoptic;  // neither of the others
  int64_t pixels;
};

template <typename Device>
class MergeOnDevice {
 public:
  MergeOnDevice(Device* device, const MergeRules& rules) : device_(*device), rules_(rules) {}

  // Returns false where a label is out of range, and which one: the first, in order of pixels.
  bool Merge(const MergeMaps& maps, int32_t* bad_label) const {
    SegmentSlots slots = EmptySlots(kFirstSlots, maps.pixels);
    Findings findings = Count(maps, slots);
    while (findings.left_pixel != Findings::kNone && device_.is_ok()) {
      slots = EmptySlots(slots.num_slots * kGrowth, maps.pixels);
      findings = Count(maps, slots);
    }
    if (findings.bad_pixel != Findings::kNone && device_.is_ok()) {
      *bad_label = device_.Download(maps.semantic + findings.bad_pixel, 1)[0];
      return false;
    }
    device_.ForEach(maps.pixels, WriteIds{device_.Upload(Number(slots)), maps.panoptic});
    return true;
  }

 private:
  static constexpr int64_t kFirstSlots = 1 << 12;
  static constexpr int64_t kGrowth = 8;
  static constexpr int64_t kMaxProbes = 64;  // a table that takes more is full, or nearly so

  SegmentSlots EmptySlots(int64_t num_slots, int64_t pixels) const {
    // Twice as many slots as pixels always suffice; then every slot may be probed, so that a search surely ends well.
    while (num_slots / 2 >= 2 * pixels && num_slots > kFirstSlots) num_slots /= 2;
    const int64_t max_probes = num_slots >= 2 * pixels ? num_slots : kMaxProbes;
    const SegmentSlots slots = {device_.template Allocate<Atomic>(num_slots),
                                device_.template Allocate<Atomic>(num_slots), num_slots, max_probes};
    device_.Fill(slots.keys, num_slots, 0xff);
    device_.Fill(slots.areas, num_slots, 0);
    return slots;
  }

  Findings Count(const MergeMaps& maps, const SegmentSlots& slots) const {
    Findings* findings = device_.template Allocate<Findings>(1);
    device_.Fill(findings, 1, 0xff);
    const int32_t largest = static_cast<int32_t>(rules_.largest_label());
    const int64_t threads = (maps.pixels + CountSegments::kPixels - 1) / CountSegments::kPixels;
    device_.ForEach(threads, CountSegments{maps.semantic, maps.instance, maps.pixels, largest, slots, findings,
                                           maps.panoptic});
    return device_.Download(findings, 1)[0];
  }

  // Finds the panoptic id for each slot, by the same code that numbers segments on the CPU.
  std::vector<int32_t> Number(const SegmentSlots& slots) const {
    const std::vector<Atomic> keys = device_.Download(slots.keys, slots.num_slots);
    const std::vector<Atomic> areas = device_.Download(slots.areas, slots.num_slots);
    Band band;
    std::vector<int32_t> segment_of_slot(slots.num_slots, -1);
    for (int64_t i = 0; i < slots.num_slots; ++i) {
      if (keys[i] == SegmentSlots::kEmpty) continue;
      segment_of_slot[i] = band.table.Add(static_cast<int32_t>(keys[i] >> 32), static_cast<int32_t>(keys[i]), areas[i]);
    }
    NumberSegments(&band, &band + 1, rules_);
    for (int32_t& segment : segment_of_slot) {
      segment = segment < 0 ? 0 : band.table.segments()[segment].panoptic;
    }
    return segment_of_slot;
  }

  Device& device_;
  const MergeRules& rules_;
};

}  // namespace panpipe

#endif  // PANPIPE_CUSTOM_OPS_CC_CUDA_MERGING_H_
