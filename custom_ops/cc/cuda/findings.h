// SPDX-License-Identifier: Apache-2.0
// What the threads of a device learn of one image, and all that the host is told.
#ifndef PANPIPE_CUSTOM_OPS_CC_CUDA_FINDINGS_H_
#define PANPIPE_CUSTOM_OPS_CC_CUDA_FINDINGS_H_

#include <cstdint>

#include "cuda/atomics.h"
#include "host_device.h"

namespace panpipe {

struct Findings {
  static constexpr Atomic kNone = ~Atomic{0};
  static constexpr Atomic kMostPeaks = 1 << 12;  // so many find a place

  // Peaks and segments that can be worked on: none where there are too many, since the host then takes the image.
  PANPIPE_HOST_DEVICE int64_t PeaksToRank() const {
    return num_peaks > kMostPeaks ? 0 : static_cast<int64_t>(num_peaks);
  }
  PANPIPE_HOST_DEVICE int64_t SegmentsToNumber() const {
    return num_left > 0 || bad_pixel != kNone ? 0 : static_cast<int64_t>(num_segments);
  }
  bool has_room() const { return num_peaks <= kMostPeaks && num_left == 0; }

  Atomic num_peaks;     // all of them, those that found no place, too
  Atomic num_centers;   // those that are kept
  Atomic num_segments;  // those that found a slot
  Atomic num_left;      // runs of pixels that found none
  Atomic bad_pixel;     // the first one whose label is out of range
};

// Thread i starts the findings of image i.
struct ClearFindings {
  PANPIPE_HOST_DEVICE void operator()(int64_t i) const { findings[i] = {0, 0, 0, 0, Findings::kNone}; }

  Findings* findings;
};

}  // namespace panpipe

#endif  // PANPIPE_CUSTOM_OPS_CC_CUDA_FINDINGS_H_
