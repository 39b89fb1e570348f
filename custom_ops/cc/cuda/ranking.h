// SPDX-License-Identifier: Apache-2.0
// The centers of one image on a device: what one GPU thread does. Peaks are listed in the order in which threads come;
// then each of them, which are few, looks at all others, and finds out whether it is kept, and where it stands.
#ifndef PANPIPE_CUSTOM_OPS_CC_CUDA_RANKING_H_
#define PANPIPE_CUSTOM_OPS_CC_CUDA_RANKING_H_

#include <cstdint>

#include "centers.h"
#include "cuda/atomics.h"
#include "cuda/findings.h"
#include "host_device.h"
#include "nearest.h"

namespace panpipe {

struct CenterSlots {
  static constexpr int64_t kCapacity = Findings::kMostPeaks;

  Center* peaks;         // in any order
  uint8_t* is_kept;      // of each peak
  float *ys, *xs, *values;  // of the kept ones, in row-major order
};

// Thread i lists pixel i of a heat-map, if it is a peak.
struct ListPeaks {
  PANPIPE_HOST_DEVICE void operator()(int64_t i) const {
    if (!(heatmap[i] > floor)) return;
    const int64_t y = i / width, x = i % width;
    if (!IsPeak(heatmap, height, width, y, x, nms_kernel)) return;
    const int64_t index = static_cast<int64_t>(AtomicAdd(&findings->num_peaks, 1));
    if (index >= CenterSlots::kCapacity) return;
    centers.peaks[index] = {static_cast<int32_t>(y), static_cast<int32_t>(x), heatmap[i]};
  }

  const float* heatmap;
  int64_t height, width;
  float floor;
  int64_t nms_kernel;
  CenterSlots centers;
  Findings* findings;
};

// Thread i of kCapacity keeps peak i, if it is above the value of rank keep_k: fewer than keep_k are as large.
struct KeepPeaks {
  PANPIPE_HOST_DEVICE void operator()(int64_t i) const {
    const int64_t num_peaks = findings->PeaksToRank();
    if (i >= num_peaks) return;
    bool is_kept = keep_k <= 0 || num_peaks <= keep_k;
    if (!is_kept) {
      int64_t rank = 0;
      for (int64_t j = 0; j < num_peaks; ++j) rank += centers.peaks[j].value >= centers.peaks[i].value;
      is_kept = rank < keep_k;
    }
    centers.is_kept[i] = is_kept;
    if (is_kept) AtomicAdd(&findings->num_centers, 1);
  }

  int64_t keep_k;
  CenterSlots centers;
  Findings* findings;
};

// Thread i of kCapacity puts peak i, if it is kept, where it stands among the others in row-major order.
struct SortCenters {
  PANPIPE_HOST_DEVICE void operator()(int64_t i) const {
    const int64_t num_peaks = findings->PeaksToRank();
    if (i >= num_peaks || !centers.is_kept[i]) return;
    const Center center = centers.peaks[i];
    int64_t place = 0;
    for (int64_t j = 0; j < num_peaks; ++j) {
      const Center& other = centers.peaks[j];
      place += centers.is_kept[j] && (other.y < center.y || (other.y == center.y && other.x < center.x));
    }
    centers.ys[place] = static_cast<float>(center.y);
    centers.xs[place] = static_cast<float>(center.x);
    centers.values[place] = center.value;
  }

  CenterSlots centers;
  const Findings* findings;
};

// The kept centers, to be looked up.
struct RankedCenters {
  PANPIPE_HOST_DEVICE bool is_empty() const { return findings->num_centers == 0; }

  // As CenterLists::Assign, by looking at all centers.
  PANPIPE_HOST_DEVICE void Assign(int64_t y, int64_t x, float down, float across, int32_t* instance,
                                  float* score) const {
    const int32_t index = points.Search(static_cast<float>(y) + down, static_cast<float>(x) + across, nullptr,
                                        static_cast<int64_t>(findings->num_centers));
    *instance = index + 1;
    *score = points.values[index];
  }

  CenterPoints points;
  const Findings* findings;
};

}  // namespace panpipe

#endif  // PANPIPE_CUSTOM_OPS_CC_CUDA_RANKING_H_
