// SPDX-License-Identifier: Apache-2.0
// Memory that many threads change at once, on a GPU or, for tests, on the host. No operation orders any other.
#ifndef PANPIPE_CUSTOM_OPS_CC_CUDA_ATOMICS_H_
#define PANPIPE_CUSTOM_OPS_CC_CUDA_ATOMICS_H_

#include "host_device.h"

namespace panpipe {

using Atomic = unsigned long long;  // 64 bits, in the one type that CUDA's atomics take

PANPIPE_HOST_DEVICE inline Atomic AtomicLoad(const Atomic* from) {
#ifdef __CUDA_ARCH__
  return *static_cast<const volatile Atomic*>(from);
#else
  return __atomic_load_n(from, __ATOMIC_RELAXED);
#endif
}

// Returns what was there before.
PANPIPE_HOST_DEVICE inline Atomic AtomicAdd(Atomic* to, Atomic value) {
#ifdef __CUDA_ARCH__
  return atomicAdd(to, value);
#else
  return __atomic_fetch_add(to, value, __ATOMIC_RELAXED);
#endif
}

// Writes `value` where `expected` is, and returns what was there before.
PANPIPE_HOST_DEVICE inline Atomic AtomicCompareAndSwap(Atomic* to, Atomic expected, Atomic value) {
#ifdef __CUDA_ARCH__
  return atomicCAS(to, expected, value);
#else
  __atomic_compare_exchange_n(to, &expected, value, false, __ATOMIC_RELAXED, __ATOMIC_RELAXED);
  return expected;
#endif
}

PANPIPE_HOST_DEVICE inline void AtomicMin(Atomic* to, Atomic value) {
  Atomic seen = AtomicLoad(to);
  while (value < seen) {
    const Atomic before = AtomicCompareAndSwap(to, seen, value);
    if (before == seen) return;
    seen = before;
  }
}

}  // namespace panpipe

#endif  // PANPIPE_CUSTOM_OPS_CC_CUDA_ATOMICS_H_
