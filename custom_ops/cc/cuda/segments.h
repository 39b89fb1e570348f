// SPDX-License-Identifier: Apache-2.0
// The merge on a device: what one GPU thread does.
//
// A first pass over the pixels puts each distinct (label, instance) pair of an image into a hash table, lists its slot,
// counts its pixels, and notes for each pixel its slot. Then each segment looks at all others, which are few, and finds
// its panoptic id. A second pass over the pixels looks those up. Which thread comes first decides on places in the
// table and in the list, but on nothing else.
#ifndef PANPIPE_CUSTOM_OPS_CC_CUDA_SEGMENTS_H_
#define PANPIPE_CUSTOM_OPS_CC_CUDA_SEGMENTS_H_

#include <algorithm>
#include <cstdint>

#include "cuda/atomics.h"
#include "cuda/findings.h"
#include "host_device.h"
#include "merge.h"

namespace panpipe {

// The thing ids of MergeRules, where a device can read them.
struct ThingIds {
  PANPIPE_HOST_DEVICE bool Contains(int32_t label) const {
    int64_t first = 0, last = size;
    while (first < last) {
      const int64_t middle = (first + last) / 2;
      if (ids[middle] == label) return true;
      (ids[middle] < label ? first : last) = ids[middle] < label ? middle + 1 : middle;
    }
    return false;
  }

  const int32_t* ids;  // ascending
  int64_t size;
};

// The segments of one image: an open-addressing hash table, and the list of the slots in use.
struct SegmentSlots {
  static constexpr int64_t kSlots = 1 << 14;  // a power of two
  static constexpr int64_t kMaxProbes = 64;   // a table that takes more is nearly full
  static constexpr Atomic kEmpty = ~Atomic{0};  // the key of label -1, which is no label

  // Adds to the area of a segment, which is new if it was not there. Returns its slot, or -1 where none was free.
  PANPIPE_HOST_DEVICE int64_t Add(int32_t label, int32_t instance, int64_t area, Findings* findings) const {
    const Atomic key = (Atomic{static_cast<uint32_t>(label)} << 32) | static_cast<uint32_t>(instance);
    const Atomic hash = key * 0x9E3779B97F4A7C15u;  // Fibonacci hashing; the upper bits are the mixed ones
    int64_t slot = static_cast<int64_t>((hash ^ (hash >> 32)) & (kSlots - 1));
    for (int64_t i = 0; i < kMaxProbes; ++i, slot = (slot + 1) & (kSlots - 1)) {
      Atomic seen = AtomicLoad(keys + slot);
      if (seen == kEmpty) {
        seen = AtomicCompareAndSwap(keys + slot, kEmpty, key);
        if (seen == kEmpty) listed[AtomicAdd(&findings->num_segments, 1)] = static_cast<int32_t>(slot);
      }
      if (seen == kEmpty || seen == key) {
        AtomicAdd(areas + slot, area);
        return slot;
      }
    }
    return -1;
  }

  PANPIPE_HOST_DEVICE int32_t LabelAt(int64_t slot) const { return static_cast<int32_t>(keys[slot] >> 32); }
  PANPIPE_HOST_DEVICE int32_t InstanceAt(int64_t slot) const { return static_cast<int32_t>(keys[slot]); }

  Atomic* keys;     // of each slot: label and instance
  Atomic* areas;    // of each slot, in pixels
  int32_t* listed;  // slots in use, as many as segments
  int32_t* labels;  // of each slot in use: the label that its instance gets
  int32_t* ids;     // of each slot in use: its panoptic id
};

// Before the first pass: thread i of kSlots empties slot i.
struct ClearSlots {
  PANPIPE_HOST_DEVICE void operator()(int64_t i) const {
    slots.keys[i] = SegmentSlots::kEmpty;
    slots.areas[i] = 0;
  }

  SegmentSlots slots;
};

// First pass. Thread i takes kPixels neighbours, and asks the table once for each run of equal ones.
struct CountSegments {
  static constexpr int64_t kPixels = 16;

  PANPIPE_HOST_DEVICE void operator()(int64_t i) const {
    const int64_t end = std::min((i + 1) * kPixels, pixels);
    for (int64_t begin = i * kPixels; begin < end;) {
      const int32_t label = semantic[begin], id = instance[begin];
      int64_t stop = begin + 1;
      while (stop < end && semantic[stop] == label && instance[stop] == id) ++stop;
      if (label < 0 || label > largest_label) return AtomicMin(&findings->bad_pixel, begin);
      const int64_t slot = slots.Add(label, id, stop - begin, findings);
      if (slot < 0) return static_cast<void>(AtomicAdd(&findings->num_left, 1));
      for (; begin < stop; ++begin) slot_of_pixel[begin] = static_cast<int32_t>(slot);
    }
  }

  const int32_t *semantic, *instance;
  int64_t pixels;
  int32_t largest_label;
  SegmentSlots slots;
  Findings* findings;
  int32_t* slot_of_pixel;
};

// Between the passes: thread i of kSlots numbers segment i, if it is stuff. Otherwise it finds the label of most pixels
// of its instance, the smallest of those that tie.
struct LabelSegments {
  PANPIPE_HOST_DEVICE void operator()(int64_t i) const {
    const int64_t num_segments = findings->SegmentsToNumber();
    if (i >= num_segments) return;
    const int32_t slot = slots.listed[i];
    const int32_t label = slots.LabelAt(slot), instance = slots.InstanceAt(slot);
    const bool is_thing = things.Contains(label);
    int64_t area = 0, most = 0;
    int32_t winner = label;
    for (int64_t j = 0; j < num_segments; ++j) {
      const int32_t other = slots.listed[j];
      const int32_t other_label = slots.LabelAt(other);
      const int64_t other_area = static_cast<int64_t>(slots.areas[other]);
      if (!is_thing) {
        area += other_label == label ? other_area : 0;
      } else if (slots.InstanceAt(other) == instance && things.Contains(other_label) &&
                 (other_area > most || (other_area == most && other_label < winner))) {
        most = other_area;
        winner = other_label;
      }
    }
    slots.labels[slot] = winner;
    if (!is_thing) slots.ids[slot] = rules.OfStuff(label, area);
  }

  SegmentSlots slots;
  ThingIds things;
  IdRules rules;
  const Findings* findings;
};

// Then: thread i numbers segment i, if it is a thing. Each instance counts by its one segment of the label it got.
struct NumberThingSegments {
  PANPIPE_HOST_DEVICE void operator()(int64_t i) const {
    const int64_t num_segments = findings->SegmentsToNumber();
    if (i >= num_segments) return;
    const int32_t slot = slots.listed[i];
    const int32_t label = slots.labels[slot], instance = slots.InstanceAt(slot);
    if (!things.Contains(label)) return;  // stuff keeps its label
    int64_t k = 1;
    for (int64_t j = 0; j < num_segments; ++j) {
      const int32_t other = slots.listed[j];
      k += slots.LabelAt(other) == label && slots.labels[other] == label && slots.InstanceAt(other) < instance;
    }
    slots.ids[slot] = rules.OfThing(label, k);
  }

  SegmentSlots slots;
  ThingIds things;
  IdRules rules;
  const Findings* findings;
};

// Second pass. Thread i replaces the slot of pixel i by the panoptic id, if all pixels have slots.
struct WriteIds {
  PANPIPE_HOST_DEVICE void operator()(int64_t i) const {
    if (findings->SegmentsToNumber() > 0) panoptic[i] = ids[panoptic[i]];
  }

  const int32_t* ids;  // of each slot
  const Findings* findings;
  int32_t* panoptic;
};

}  // namespace panpipe

#endif  // PANPIPE_CUSTOM_OPS_CC_CUDA_SEGMENTS_H_
