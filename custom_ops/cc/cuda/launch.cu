// SPDX-License-Identifier: Apache-2.0
// Compile with --fmad=false and --ftz=true: as in TensorFlow's threads on the CPU, a product and a sum must round on
// their own, and subnormal numbers count as 0.
#include <cuda_runtime.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>

#include "cuda/launch.h"

namespace panpipe {
namespace {

constexpr int64_t kBlock = 256;           // threads
constexpr int64_t kMostBlocks = 1 << 20;  // each thread takes several turns beyond

template <typename Work>
__global__ void Run(int64_t n, Work work) {
  const int64_t step = int64_t{gridDim.x} * blockDim.x;
  for (int64_t i = int64_t{blockIdx.x} * blockDim.x + threadIdx.x; i < n; i += step) work(i);
}

const char* Message(cudaError_t error) { return error == cudaSuccess ? nullptr : cudaGetErrorString(error); }

}  // namespace

template <typename Work>
const char* Launch(void* stream, int64_t n, const Work& work) {
  if (n == 0) return nullptr;
  const auto blocks = static_cast<unsigned>(std::min((n + kBlock - 1) / kBlock, kMostBlocks));
  Run<<<blocks, kBlock, 0, static_cast<cudaStream_t>(stream)>>>(n, work);
  return Message(cudaGetLastError());
}

#define PANPIPE_MAKE_LAUNCH(Work) template const char* Launch(void*, int64_t, const Work&);
PANPIPE_FOR_EACH_WORK(PANPIPE_MAKE_LAUNCH)

const char* CopyToDevice(void* stream, void* to, const void* from, size_t size) {
  // Of pageable memory, which this always is, CUDA takes a copy before it returns.
  return Message(cudaMemcpyAsync(to, from, size, cudaMemcpyHostToDevice, static_cast<cudaStream_t>(stream)));
}

const char* CopyToHost(void* stream, void* to, const void* from, size_t size) {
  const auto own = static_cast<cudaStream_t>(stream);
  const char* message = Message(cudaMemcpyAsync(to, from, size, cudaMemcpyDeviceToHost, own));
  return message != nullptr ? message : Message(cudaStreamSynchronize(own));
}

}  // namespace panpipe
