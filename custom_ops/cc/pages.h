// SPDX-License-Identifier: Apache-2.0
// Fresh memory in large pages. A map of Cityscapes size is 2,050 pages of 4 kB, which the kernel hands out one by one
// as they are first written: that takes ten times as long as writing them. Of large pages there are four.
#ifndef PANPIPE_CUSTOM_OPS_CC_PAGES_H_
#define PANPIPE_CUSTOM_OPS_CC_PAGES_H_

#include <cstddef>
#include <cstdint>

#ifdef __linux__
#include <sys/mman.h>
#include <unistd.h>
#endif

namespace panpipe {

// Advises the kernel; where it cannot follow, nothing changes. Small memory is left alone.
inline void PreferLargePages(void* data, size_t bytes) {
#ifdef MADV_HUGEPAGE
  constexpr size_t kWorthIt = size_t{1} << 22;
  if (bytes < kWorthIt) return;
  static const uintptr_t page = sysconf(_SC_PAGESIZE);
  const uintptr_t first = (reinterpret_cast<uintptr_t>(data) + page - 1) / page * page;
  const uintptr_t end = (reinterpret_cast<uintptr_t>(data) + bytes) / page * page;
  (void)madvise(reinterpret_cast<void*>(first), end - first, MADV_HUGEPAGE);
#else
  (void)data;
  (void)bytes;
#endif
}

}  // namespace panpipe

#endif  // PANPIPE_CUSTOM_OPS_CC_PAGES_H_
