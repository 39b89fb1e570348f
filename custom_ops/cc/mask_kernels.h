// SPDX-License-Identifier: Apache-2.0
// What is computed for several pixels or slots at a time, compiled for all processors and for those with AVX2.
#ifndef PANPIPE_CUSTOM_OPS_CC_MASK_KERNELS_H_
#define PANPIPE_CUSTOM_OPS_CC_MASK_KERNELS_H_

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <limits>
#include <vector>

#include "bilinear.h"
#include "exponential.h"
#include "mask_confidence.h"
#include "mask_pixels.h"
#include "semantic.h"

namespace panpipe {

namespace narrow {
#define PANPIPE_LANES 4
#include "mask_lanes.h"
#undef PANPIPE_LANES
}  // namespace narrow

#if defined(__x86_64__)
#define PANPIPE_HAS_WIDE
// It has no fused multiply-add, on purpose.
#pragma GCC push_options
#pragma GCC target("avx2")
namespace wide {
#define PANPIPE_LANES 8
#include "mask_lanes.h"
#undef PANPIPE_LANES
}  // namespace wide
#pragma GCC pop_options
#endif

inline bool HasWideVectors() {
#ifdef PANPIPE_HAS_WIDE
  return __builtin_cpu_supports("avx2");
#else
  return false;
#endif
}

// Adds pixels [begin, end) of logits [pixels, slots].
inline void AddConfidences(const float* logits, int64_t slots, int64_t begin, int64_t end, float threshold,
                           ConfidenceSums* sums) {
#ifdef PANPIPE_HAS_WIDE
  if (HasWideVectors()) return wide::AddConfidences(logits, slots, begin, end, threshold, sums);
#endif
  narrow::AddConfidences(logits, slots, begin, end, threshold, sums);
}

}  // namespace panpipe

#endif  // PANPIPE_CUSTOM_OPS_CC_MASK_KERNELS_H_
