// SPDX-License-Identifier: Apache-2.0
// A GPU without TensorFlow: plain cudaMalloc and one stream, as a device that cuda/merging.h describes. Any failure of
// CUDA ends the program.
#ifndef PANPIPE_TESTS_CUSTOM_OPS_CUDA_DEVICE_H_
#define PANPIPE_TESTS_CUSTOM_OPS_CUDA_DEVICE_H_

#include <cuda_runtime.h>

#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <vector>
#if defined(__x86_64__)
#include <xmmintrin.h>
#endif

#include "cuda/launch.h"

namespace alone {

constexpr int kNoGpu = 77;  // the exit status where there is none

inline void Check(const char* message) {
  if (message == nullptr) return;
  std::printf("CUDA: %s\n", message);
  std::exit(1);
}

inline void Check(cudaError_t error) { Check(error == cudaSuccess ? nullptr : cudaGetErrorString(error)); }

// Ends the program where there is no GPU, and else says which one it is.
inline void NameGpu() {
  int count = 0;
  const cudaError_t error = cudaGetDeviceCount(&count);
  if (error != cudaSuccess || count == 0) {
    std::printf("there is no GPU: %s\n", error == cudaSuccess ? "none is seen" : cudaGetErrorString(error));
    std::exit(kNoGpu);
  }
  cudaDeviceProp properties;
  Check(cudaGetDeviceProperties(&properties, 0));
  std::printf("%s, compute capability %d.%d\n", properties.name, properties.major, properties.minor);
  std::fflush(stdout);
}

// Has this thread take subnormal numbers for 0, as the kernels do, and as TensorFlow does in its threads.
inline void FlushSubnormals() {
#if defined(__x86_64__)
  _mm_setcsr(_mm_getcsr() | 0x8040);  // FTZ and DAZ
#elif defined(__aarch64__)
  uint64_t control;
  __asm__ __volatile__("mrs %0, fpcr" : "=r"(control));
  __asm__ __volatile__("msr fpcr, %0" : : "r"(control | (uint64_t{1} << 24)));  // FZ
#endif
}

// The number after an option such as --cases, or what is usual.
inline int Option(int argc, char** argv, const char* name, int usual) {
  for (int i = 1; i + 1 < argc; ++i) {
    if (std::strcmp(argv[i], name) == 0) return std::atoi(argv[i + 1]);
  }
  return usual;
}

class Device {
 public:
  Device() { Check(cudaStreamCreate(&stream_)); }
  Device(const Device&) = delete;
  Device& operator=(const Device&) = delete;
  ~Device() {
    Check(cudaStreamSynchronize(stream_));
    for (const Block& block : blocks_) Check(cudaFree(block.memory));
    Check(cudaStreamDestroy(stream_));
  }

  // Hands out the same memory again, as TensorFlow does.
  void Rewind() { num_used_ = 0; }

  template <typename T>
  T* Allocate(int64_t n) {
    const size_t size = (n > 0 ? n : 1) * sizeof(T);
    if (num_used_ == blocks_.size()) blocks_.push_back({nullptr, 0});
    Block& block = blocks_[num_used_++];
    if (block.size < size) {
      Check(cudaFree(block.memory));
      Check(cudaMalloc(&block.memory, size));
      block.size = size;
    }
    return static_cast<T*>(block.memory);
  }

  template <typename T>
  T* Upload(const std::vector<T>& values) {
    T* to = Allocate<T>(values.size());
    Write(to, values);
    return to;
  }

  template <typename T>
  void Write(T* to, const std::vector<T>& values) {
    if (!values.empty()) Check(panpipe::CopyToDevice(stream_, to, values.data(), values.size() * sizeof(T)));
  }

  template <typename T>
  std::vector<T> Download(const T* from, int64_t n) {
    std::vector<T> values(n);
    const auto start = std::chrono::steady_clock::now();
    if (n > 0) Check(panpipe::CopyToHost(stream_, values.data(), from, n * sizeof(T)));
    waited_ms_ += std::chrono::duration<double, std::milli>(std::chrono::steady_clock::now() - start).count();
    ++num_waits_;
    return values;
  }

  template <typename Work>
  void ForEach(int64_t n, const Work& work) {
    Check(panpipe::Launch(stream_, n, work));
  }

  bool is_ok() const { return true; }
  int num_waits() const { return num_waits_; }
  double waited_ms() const { return waited_ms_; }

 protected:
  cudaStream_t stream() const { return stream_; }

 private:
  struct Block {
    void* memory;
    size_t size;
  };

  cudaStream_t stream_;
  std::vector<Block> blocks_;
  size_t num_used_ = 0;
  int num_waits_ = 0;
  double waited_ms_ = 0;
};

}  // namespace alone

#endif  // PANPIPE_TESTS_CUSTOM_OPS_CUDA_DEVICE_H_
