// SPDX-License-Identifier: Apache-2.0
// What the CUDA runtime is asked to do, in plain C++: neither TensorFlow's headers are needed where it is compiled, nor
// CUDA's where it is called. A stream is CUDA's, in the order of which all happens. Each function returns null, or says
// what went wrong.
#ifndef PANPIPE_CUSTOM_OPS_CC_CUDA_LAUNCH_H_
#define PANPIPE_CUSTOM_OPS_CC_CUDA_LAUNCH_H_

#include <cstddef>
#include <cstdint>

#include "cuda/findings.h"
#include "cuda/pixels.h"
#include "cuda/ranking.h"
#include "cuda/segments.h"

// All that threads do: calls make(Work) for each kind.
#define PANPIPE_FOR_EACH_WORK(make) \
  make(ClearFindings)               \
  make(ClearSlots)                  \
  make(CountSegments)               \
  make(GroupLabels)                 \
  make(GroupThings)                 \
  make(KeepPeaks)                   \
  make(LabelSegments)               \
  make(ListPeaks)                   \
  make(NumberThingSegments)         \
  make(SortCenters)                 \
  make(WriteHeatmap)                \
  make(WriteIds)                    \
  make(WriteLabel)

namespace panpipe {

// Calls work(i) for i = 0 .. n - 1, in as many threads.
template <typename Work>
const char* Launch(void* stream, int64_t n, const Work& work);

// The source may change as soon as this returns.
const char* CopyToDevice(void* stream, void* to, const void* from, size_t size);
// Waits for the copy, and so for all that was asked before.
const char* CopyToHost(void* stream, void* to, const void* from, size_t size);

}  // namespace panpipe

#endif  // PANPIPE_CUSTOM_OPS_CC_CUDA_LAUNCH_H_
