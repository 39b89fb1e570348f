// SPDX-License-Identifier: Apache-2.0
// The merge's work on pixels: what one GPU thread does.
//
// A first pass puts each distinct (label, instance) pair of an image into a hash table, counts its pixels there, and
// notes for each pixel its place in the table. Segments, which are few, get their ids on the host (merging.h). A second
// pass looks those up. Which thread comes first decides on places in the table, but on nothing else.
#ifndef PANPIPE_CUSTOM_OPS_CC_CUDA_SEGMENTS_H_
#define PANPIPE_CUSTOM_OPS_CC_CUDA_SEGMENTS_H_

#include <algorithm>
#include <cstdint>

#include "cuda/atomics.h"
#include "host_device.h"

namespace panpipe {

struct SegmentSlots {
  static constexpr Atomic kEmpty = ~Atomic{0};  // the key of label -1, which is no label

  // Adds to the area of a segment, which is new if it was not there. Returns its slot, or -1 where none was free.
  PANPIPE_HOST_DEVICE int64_t Add(int32_t label, int32_t instance, int64_t area) const {
    const Atomic key = (Atomic{static_cast<uint32_t>(label)} << 32) | static_cast<uint32_t>(instance);
    const Atomic hash = key * 0x9E3779B97F4A7C15u;  // Fibonacci hashing; the upper bits are the mixed ones
    int64_t slot = static_cast<int64_t>((hash ^ (hash >> 32)) & (num_slots - 1));
    for (int64_t i = 0; i < max_probes; ++i, slot = (slot + 1) & (num_slots - 1)) {
      Atomic seen = AtomicLoad(keys + slot);
      if (seen == kEmpty) seen = AtomicCompareAndSwap(keys + slot, kEmpty, key);
      if (seen == kEmpty || seen == key) {
        AtomicAdd(areas + slot, area);
        return slot;
      }
    }
    return -1;
  }

  Atomic* keys;   // filled with kEmpty
  Atomic* areas;  // filled with 0
  int64_t num_slots;  // a power of two
  int64_t max_probes;
};

// What the first pass has to say; filled with kNone.
struct Findings {
  static constexpr Atomic kNone = ~Atomic{0};
  Atomic bad_pixel;   // the first one whose label is out of range
  Atomic left_pixel;  // one that found no slot
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
      const int64_t slot = slots.Add(label, id, stop - begin);
      if (slot < 0) return AtomicMin(&findings->left_pixel, begin);
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

// Second pass. Thread i replaces the slot of pixel i by the panoptic id.
struct WriteIds {
  PANPIPE_HOST_DEVICE void operator()(int64_t i) const { panoptic[i] = ids[panoptic[i]]; }

  const int32_t* ids;  // of each slot
  int32_t* panoptic;
};

}  // namespace panpipe

#endif  // PANPIPE_CUSTOM_OPS_CC_CUDA_SEGMENTS_H_
