// SPDX-License-Identifier: Apache-2.0
// Launches a GPU's threads on the host, the last one first; its memory is the host's. test_cuda.py links this with the
// kernels in the place of launch.cu.
#include <cstring>

#include "cuda/launch.h"

namespace panpipe {
namespace {

template <typename Work>
const char* LaunchAny(int64_t n, const Work& work) {
  for (int64_t i = n; i-- > 0;) work(i);
  return nullptr;
}

}  // namespace

const char* Launch(void*, int64_t n, const CountSegments& work) { return LaunchAny(n, work); }
const char* Launch(void*, int64_t n, const WriteIds& work) { return LaunchAny(n, work); }
const char* Launch(void*, int64_t n, const WriteLabel& work) { return LaunchAny(n, work); }
const char* Launch(void*, int64_t n, const WriteHeatmap& work) { return LaunchAny(n, work); }
const char* Launch(void*, int64_t n, const ListPeaks& work) { return LaunchAny(n, work); }
const char* Launch(void*, int64_t n, const GroupThings& work) { return LaunchAny(n, work); }
const char* Launch(void*, int64_t n, const GroupLabels& work) { return LaunchAny(n, work); }

const char* FillBytes(void*, void* to, int byte, size_t size) {
  std::memset(to, byte, size);
  return nullptr;
}

const char* CopyToDevice(void*, void* to, const void* from, size_t size) {
  std::memcpy(to, from, size);
  return nullptr;
}

const char* CopyToHost(void*, void* to, const void* from, size_t size) {
  std::memcpy(to, from, size);
  return nullptr;
}

}  // namespace panpipe
