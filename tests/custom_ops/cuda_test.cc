// SPDX-License-Identifier: Apache-2.0
// Runs on the host what GPU threads do, one after the other or in several threads, and holds it against the CPU's
// headers. Compiled with sanitizers by test_headers.py.
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <thread>
#include <vector>

#include "cuda_cases.h"

namespace {

// The order in which threads come.
enum class Order { kForward, kBackward, kAtOnce };

// Stands in for a GPU.
class HostDevice {
 public:
  explicit HostDevice(Order order) : order_(order) {}

  template <typename T>
  T* Allocate(int64_t n) {
    memory_.emplace_back(std::malloc(n * sizeof(T)), std::free);  // of that size and no more, says the sanitizer
    std::memset(memory_.back().get(), 0xa5, n * sizeof(T));       // nobody may count on zeros
    return static_cast<T*>(memory_.back().get());
  }
  template <typename T>
  T* Upload(const std::vector<T>& values) {
    T* to = Allocate<T>(values.size());
    Write(to, values);
    return to;
  }
  template <typename T>
  void Write(T* to, const std::vector<T>& values) {
    std::copy(values.begin(), values.end(), to);
  }
  template <typename T>
  std::vector<T> Download(const T* from, int64_t n) {
    ++num_waits_;
    return std::vector<T>(from, from + n);
  }
  template <typename Work>
  void ForEach(int64_t n, const Work& work) {
    if (order_ == Order::kForward) {
      for (int64_t i = 0; i < n; ++i) work(i);
    } else if (order_ == Order::kBackward) {
      for (int64_t i = n; i-- > 0;) work(i);
    } else {
      std::vector<std::thread> threads;
      for (int t = 0; t < kThreads; ++t) {
        threads.emplace_back([=] {
          for (int64_t i = t; i < n; i += kThreads) work(i);
        });
      }
      for (std::thread& thread : threads) thread.join();
    }
  }
  bool is_ok() const { return true; }
  int num_waits() const { return num_waits_; }

 private:
  static constexpr int kThreads = 3;

  Order order_;
  std::vector<std::unique_ptr<void, void (*)(void*)>> memory_;
  int num_waits_ = 0;
};

}  // namespace

int main() {
  for (const Order order : {Order::kForward, Order::kBackward, Order::kAtOnce}) {
    const auto make = [=] { return std::make_unique<HostDevice>(order); };
    const char* wrong = nullptr;
    for (int round = 0; round < 40 && wrong == nullptr; ++round) wrong = cases::SmallCases(round, make);
    if (wrong == nullptr) wrong = cases::LargeCases(make);
    if (wrong == nullptr) continue;
    std::printf("order %d: %s differs\n", static_cast<int>(order), wrong);
    return 1;
  }
  return 0;
}
