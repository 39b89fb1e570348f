// SPDX-License-Identifier: Apache-2.0
// Launches a GPU's threads on the host, the last one first; its memory is the host's. test_cuda.py links this with the
// kernels in the place of launch.cu.
#include <cstring>

#include "cuda/launch.h"

namespace panpipe {

template <typename Work>
const char* Launch(void*, int64_t n, const Work& work) {
  for (int64_t i = n; i-- > 0;) work(i);
  return nullptr;
}

#define PANPIPE_MAKE_LAUNCH(Work) template const char* Launch(void*, int64_t, const Work&);
PANPIPE_FOR_EACH_WORK(PANPIPE_MAKE_LAUNCH)

const char* CopyToDevice(void*, void* to, const void* from, size_t size) {
  std::memcpy(to, from, size);
  return nullptr;
}

const char* CopyToHost(void*, void* to, const void* from, size_t size) {
  std::memcpy(to, from, size);
  return nullptr;
}

}  // namespace panpipe
