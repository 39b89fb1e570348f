// SPDX-License-Identifier: Apache-2.0
// Times the kernels on a GPU without TensorFlow, on images of Cityscapes' size: the merge, the grouping, and the way
// from heads at full resolution and at stride 4. tests/gpu_check.py builds and starts it.
//   cuda [--repeats 50] [--height 1025] [--width 2049] [--batch 8]
// Inputs lie on the GPU, and results stay there. First each result is compared with the CPU's, bit for bit. Then:
//   ms        median time of a call, until the host knows that it succeeded
//   host      of that, what passed before the host waits: it enqueues kernels
//   kernels   median time from the start of a call's first kernel to the end of its last
//   moved     what must at least be read and written: inputs once, results once
//   of copying    the share of the GPU's own rate of copying, reading and writing counted, that this comes to
#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdio>
#include <cstring>
#include <functional>
#include <limits>
#include <memory>
#include <string>
#include <typeinfo>
#include <vector>

#include "cuda/predicting.h"
#include "cuda_device.h"

namespace {

using Ints = std::vector<int32_t>;
using Floats = std::vector<float>;

constexpr int64_t kClasses = 19, kStuff = 11, kInstances = 28, kKeptCenters = 200;
constexpr int kWarmUp = 10;
const panpipe::HeadRules kRules = {{0.1f, 13, kKeptCenters}, {{11, 12, 13, 14, 15, 16, 17, 18}, 1000, 2048, 255}};

double Milliseconds(const std::function<void()>& work) {
  const auto start = std::chrono::steady_clock::now();
  work();
  return std::chrono::duration<double, std::milli>(std::chrono::steady_clock::now() - start).count();
}

double Median(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  return values[values.size() / 2];
}

// Heads of a street at one stride, and what the other ops take. Noise is the same in each run.
struct Scene {
  Scene(int64_t height_, int64_t width_, int64_t stride_)
      : height((height_ - 1) / stride_ + 1),
        width((width_ - 1) / stride_ + 1),
        logits(height * width * kClasses),
        heatmap(height * width),
        offset(2 * height * width),
        peaks(height * width),
        semantic(height * width),
        instance(height * width),
        is_thing(height * width) {
    const int64_t cell_y = height / 4, cell_x = width / 7, radius = cell_y / 3;  // 4 x 7 discs
    const float spot = 8.0f / stride_;
    for (int64_t i = 0; i < height * width; ++i) {
      const int64_t y = i / width, x = i % width, row = std::min<int64_t>(y / cell_y, 3);
      const int64_t column = std::min<int64_t>(x / cell_x, 6), down = row * cell_y + cell_y / 2 - y;
      const int64_t across = column * cell_x + cell_x / 2 - x, number = row * 7 + column;
      const int64_t distance = down * down + across * across;
      is_thing[i] = distance < radius * radius;
      semantic[i] = static_cast<int32_t>(is_thing[i] ? kStuff + number % 8 : y * kStuff / height);
      instance[i] = static_cast<int32_t>(is_thing[i] ? number + 1 : 0);
      const float strength = 0.5f + static_cast<float>(number) / 60;
      heatmap[i] = strength * std::exp(-static_cast<float>(distance) / (2 * spot * spot));
      peaks[i] = distance == 0 ? strength : 0.0f;
      offset[2 * i] = static_cast<float>(is_thing[i] ? down : 0) + Noise();
      offset[2 * i + 1] = static_cast<float>(is_thing[i] ? across : 0) + Noise();
      for (int64_t k = 0; k < kClasses; ++k) logits[i * kClasses + k] = (k == semantic[i] ? 8.0f : 0.0f) + 4 * Noise();
    }
  }

  int64_t height, width;
  Floats logits, heatmap, offset, peaks;
  Ints semantic, instance;
  std::vector<uint8_t> is_thing;

 private:
  float Noise() {  // -1 .. 1
    seed_ = seed_ * 1664525u + 1013904223u;
    return static_cast<float>(seed_ >> 8) / (1 << 23) - 1;
  }
  uint32_t seed_ = 1;
};

// Notes when each kernel ends.
class TimedDevice : public alone::Device {
 public:
  ~TimedDevice() {
    for (cudaEvent_t event : events_) alone::Check(cudaEventDestroy(event));
  }

  void Start() {
    names_.clear();
    Mark("");
  }
  template <typename Work>
  void ForEach(int64_t n, const Work& work) {
    alone::Device::ForEach(n, work);
    Mark(typeid(Work).name());
  }
  // From the end of the one before, or the start: what kernel i took.
  double KernelMs(size_t i) const {
    float ms = 0;
    alone::Check(cudaEventElapsedTime(&ms, events_[i], events_[i + 1]));
    return ms;
  }
  size_t num_kernels() const { return names_.size() - 1; }
  std::string Name(size_t i) const {  // N7panpipe10WriteLabelE
    const std::string& whole = names_[i + 1];
    const size_t begin = whole.find_first_not_of("0123456789", whole.find("panpipe") + 7);
    return whole.substr(begin, whole.size() - begin - 1);
  }

 private:
  void Mark(const char* name) {
    if (names_.size() == events_.size()) {
      events_.emplace_back();
      alone::Check(cudaEventCreate(&events_.back()));
    }
    alone::Check(cudaEventRecord(events_[names_.size()], stream()));
    names_.push_back(name);
  }

  std::vector<cudaEvent_t> events_;
  std::vector<std::string> names_;
};

// One thing to time: plain and timed are the same call on two kinds of device.
struct Task {
  std::string name;
  int64_t bytes;
  std::function<void(alone::Device*)> plain;
  std::function<void(TimedDevice*)> timed;
};

// Reading and writing counted, in bytes a millisecond.
double CopyingRate(int repeats) {
  constexpr size_t kSize = size_t{1} << 28;
  void *from, *to;
  cudaStream_t stream;
  alone::Check(cudaMalloc(&from, kSize));
  alone::Check(cudaMalloc(&to, kSize));
  alone::Check(cudaStreamCreate(&stream));
  std::vector<double> times;
  for (int i = 0; i < repeats; ++i) {
    times.push_back(Milliseconds([&] {
      alone::Check(cudaMemcpyAsync(to, from, kSize, cudaMemcpyDeviceToDevice, stream));
      alone::Check(cudaStreamSynchronize(stream));
    }));
  }
  alone::Check(cudaStreamDestroy(stream));
  alone::Check(cudaFree(from));
  alone::Check(cudaFree(to));
  return 2.0 * kSize / Median(times);
}

void PrintWait(int repeats) {
  alone::Device device;
  panpipe::Findings* findings = device.Allocate<panpipe::Findings>(1);
  std::vector<double> times;
  for (int i = 0; i < repeats; ++i) {
    times.push_back(Milliseconds([&] {
      device.ForEach(1, panpipe::ClearFindings{findings});
      device.Download(findings, 1);
    }));
  }
  std::printf("a kernel that does nothing, and waiting for it: %.3f ms\n", Median(times));
}

void PrintTask(const Task& task, int repeats, double rate) {
  alone::Device device;
  std::vector<double> times, hosts, kernels;
  for (int i = -kWarmUp; i < repeats; ++i) {
    device.Rewind();
    const double waited = device.waited_ms();
    const double ms = Milliseconds([&] { task.plain(&device); });
    if (i < 0) continue;
    times.push_back(ms);
    hosts.push_back(ms - (device.waited_ms() - waited));
  }
  TimedDevice timed;
  std::vector<std::vector<double>> of_kernel;
  for (int i = -kWarmUp; i < repeats; ++i) {
    timed.Rewind();
    timed.Start();
    task.timed(&timed);
    of_kernel.resize(timed.num_kernels());
    double sum = 0;
    for (size_t k = 0; k < timed.num_kernels(); ++k) {
      sum += timed.KernelMs(k);
      if (i >= 0) of_kernel[k].push_back(timed.KernelMs(k));
    }
    if (i >= 0) kernels.push_back(sum);
  }
  const double ms = Median(times);
  std::printf("%-30s %8.3f %8.3f %8.3f %8.1f MB %6.1f %%\n", task.name.c_str(), ms, Median(hosts), Median(kernels),
              task.bytes / 1e6, 100 * task.bytes / ms / rate);
  std::string parts = "   ";
  for (size_t k = 0; k < of_kernel.size() && k < 14; ++k) {
    char part[80];
    std::snprintf(part, sizeof(part), " %s %.3f", timed.Name(k).c_str(), Median(of_kernel[k]));
    parts += part;
  }
  std::printf("%s%s\n", parts.c_str(), of_kernel.size() > 14 ? " ..." : "");
  std::fflush(stdout);
}

template <typename T>
void Compare(const char* what, alone::Device* device, const T* found, const std::vector<T>& wanted) {
  const std::vector<T> here = device->Download(found, wanted.size());
  if (std::memcmp(here.data(), wanted.data(), wanted.size() * sizeof(T)) == 0) return;
  std::printf("%s: the result differs from the CPU's\n", what);
  std::exit(1);
}

// A batch of one scene on the GPU, with room for the results.
class Bench {
 public:
  Bench(const Scene& scene, int64_t height, int64_t width, int64_t batch) : scene_(scene), pixels_(height * width) {
    for (int64_t i = 0; i < batch; ++i) {
      predictions_.push_back({{device_.Upload(scene.logits), device_.Upload(scene.heatmap), device_.Upload(scene.offset),
                               scene.height, scene.width, kClasses},
                              {device_.Allocate<int32_t>(pixels_), device_.Allocate<int32_t>(pixels_),
                               device_.Allocate<int32_t>(pixels_), device_.Allocate<float>(pixels_), height, width}});
      if (scene.height != height) continue;
      const panpipe::PredictionMaps& out = predictions_.back().out;
      merges_.push_back({device_.Upload(scene.semantic), device_.Upload(scene.instance), out.panoptic, pixels_});
      groups_.push_back({device_.Upload(scene.peaks), predictions_.back().heads.offset,
                         reinterpret_cast<const bool*>(device_.Upload(scene.is_thing)), out.instance, out.score,
                         height, width});
    }
  }

  Task Prediction(const std::string& name) {
    const int64_t heads = scene_.height * scene_.width * (kClasses + 3);
    return {name, batch() * 4 * (heads + 4 * pixels_),
            [this](alone::Device* device) { panpipe::PredictOnDevice(device, predictions_, kRules); },
            [this](TimedDevice* device) { panpipe::PredictOnDevice(device, predictions_, kRules); }};
  }
  Task Merge() {
    return {"merge", batch() * 12 * pixels_,
            [this](alone::Device* device) { panpipe::MergeOnDevice(device, kRules.merge, merges_, &bad_label_); },
            [this](TimedDevice* device) { panpipe::MergeOnDevice(device, kRules.merge, merges_, &bad_label_); }};
  }
  Task Group() {
    return {"grouping", batch() * 21 * pixels_,
            [this](alone::Device* device) { panpipe::GroupOnDevice(device, groups_, kKeptCenters); },
            [this](TimedDevice* device) { panpipe::GroupOnDevice(device, groups_, kKeptCenters); }};
  }

  // Compares the last image of the batch with what the CPU's headers say.
  void ComparePrediction() {
    alone::Device device;
    panpipe::PredictOnDevice(&device, predictions_, kRules);
    const panpipe::PredictionMaps& out = predictions_.back().out;
    Ints panoptic(pixels_), semantic(pixels_), instance(pixels_);
    Floats score(pixels_);
    const panpipe::HeadMaps heads = {scene_.logits.data(), scene_.heatmap.data(), scene_.offset.data(),
                                     scene_.height,        scene_.width,          kClasses};
    const panpipe::PredictionMaps wanted = {panoptic.data(), semantic.data(), instance.data(),
                                            score.data(),    out.height,      out.width};
    panpipe::HeadsOfImage(heads, kRules.centers, kRules.merge, wanted).Predict(1, panpipe::kInTurn);
    Compare("prediction", &device, out.panoptic, panoptic);
    Compare("prediction", &device, out.semantic, semantic);
    Compare("prediction", &device, out.instance, instance);
    Compare("prediction", &device, out.score, score);
    if (*std::max_element(instance.begin(), instance.end()) == kInstances) return;
    std::printf("the scene has %d centers instead of %d\n", *std::max_element(instance.begin(), instance.end()),
                static_cast<int>(kInstances));
    std::exit(1);
  }
  void CompareMaps() {
    alone::Device device;
    panpipe::MergeOnDevice(&device, kRules.merge, merges_, &bad_label_);
    panpipe::Band band;
    panpipe::ReadBand(scene_.semantic.data(), scene_.instance.data(), 0, pixels_, &band);
    panpipe::NumberSegments(&band, &band + 1, kRules.merge);
    Ints panoptic(pixels_), instance(pixels_);
    panpipe::WriteBand(band, pixels_, panoptic.data());
    Compare("merge", &device, merges_.back().panoptic, panoptic);
    panpipe::GroupOnDevice(&device, groups_, kKeptCenters);
    Floats score(pixels_);
    const panpipe::ThingMaps wanted = {scene_.peaks.data(), scene_.offset.data(),
                                       reinterpret_cast<const bool*>(scene_.is_thing.data()), instance.data(),
                                       score.data(), scene_.height, scene_.width};
    panpipe::GroupImage(wanted, kKeptCenters, panpipe::kInTurn);
    Compare("grouping", &device, groups_.back().instance, instance);
    Compare("grouping", &device, groups_.back().score, score);
  }

 private:
  int64_t batch() const { return static_cast<int64_t>(predictions_.size()); }

  const Scene& scene_;
  int64_t pixels_;
  alone::Device device_;
  std::vector<panpipe::HeadsAndMaps> predictions_;
  std::vector<panpipe::MergeMaps> merges_;
  std::vector<panpipe::ThingMaps> groups_;
  int32_t bad_label_ = 0;
};

}  // namespace

int main(int argc, char** argv) {
  const int repeats = alone::Option(argc, argv, "--repeats", 50), most = alone::Option(argc, argv, "--batch", 8);
  const int64_t height = alone::Option(argc, argv, "--height", 1025);
  const int64_t width = alone::Option(argc, argv, "--width", 2049);
  alone::NameGpu();
  alone::FlushSubnormals();
  const double rate = CopyingRate(repeats);
  std::printf("copying: %.0f GB/s, reading and writing counted\n", rate / 1e6);
  PrintWait(repeats);
  const Scene large(height, width, 1), small(height, width, 4);
  std::printf("%-30s %8s %8s %8s %11s %8s\n", "ms, median", "call", "host", "kernels", "moved", "of copying");
  for (const int batch : {1, most}) {
    const std::string of = ", batch of " + std::to_string(batch);
    Bench full(large, height, width, batch);
    full.CompareMaps();
    full.ComparePrediction();
    for (Task task : {full.Merge(), full.Group(), full.Prediction("full resolution")}) {
      task.name += of;
      PrintTask(task, repeats, rate);
    }
    Bench strided(small, height, width, batch);
    strided.ComparePrediction();
    PrintTask(strided.Prediction("stride 4" + of), repeats, rate);
  }
  std::printf("all results equal the CPU's, bit for bit\n");
  return 0;
}
