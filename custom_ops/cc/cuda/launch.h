// SPDX-License-Identifier: Apache-2.0
// What the CUDA runtime is asked to do, in plain C++: neither TensorFlow's headers are needed where it is compiled, nor
// CUDA's where it is called. A stream is CUDA's, in the order of which all happens. Each function returns null, or says
// what went wrong.
#ifndef PANPIPE_CUSTOM_OPS_CC_CUDA_LAUNCH_H_
#define PANPIPE_CUSTOM_OPS_CC_CUDA_LAUNCH_H_

#include <cstddef>
#include <cstdint>

#include "cuda/pixels.h"
#include "cuda/segments.h"

namespace panpipe {

// Calls work(i) for i = 0 .. n - 1, in as many threads.
const char* Launch(void* stream, int64_t n, const CountSegments& work);
const char* Launch(void* stream, int64_t n, const WriteIds& work);
const char* Launch(void* stream, int64_t n, const WriteLabel& work);
const char* Launch(void* stream, int64_t n, const WriteHeatmap& work);
const char* Launch(void* stream, int64_t n, const ListPeaks& work);
const char* Launch(void* stream, int64_t n, const GroupThings& work);
const char* Launch(void* stream, int64_t n, const GroupLabels& work);

const char* FillBytes(void* stream, void* to, int byte, size_t size);
// The source may change as soon as this returns.
const char* CopyToDevice(void* stream, void* to, const void* from, size_t size);
// Waits for the copy, and so for all that was asked before.
const char* CopyToHost(void* stream, void* to, const void* from, size_t size);

}  // namespace panpipe

#endif  // PANPIPE_CUSTOM_OPS_CC_CUDA_LAUNCH_H_
