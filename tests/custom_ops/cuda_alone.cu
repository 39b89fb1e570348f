// SPDX-License-Identifier: Apache-2.0
// Runs the kernels on a GPU without TensorFlow, and holds them against the CPU's headers, bit for bit.
//   cuda_alone [--cases 40] [--large 1] [--seed 1]
// Small images come in so many rounds, and large ones unless told --large 0; compute-sanitizer is content with fewer.
// Exit status 0 where all is equal, 77 where there is no GPU. tests/gpu_check.py builds and starts it.
#include <cstdio>
#include <cstdlib>
#include <memory>

#include "cuda_cases.h"
#include "cuda_device.h"

int main(int argc, char** argv) {
  const int rounds = alone::Option(argc, argv, "--cases", 40), seed = alone::Option(argc, argv, "--seed", 1);
  alone::NameGpu();
  alone::FlushSubnormals();
  std::srand(seed);
  const auto make = [] { return std::make_unique<alone::Device>(); };
  for (int round = 0; round < rounds; ++round) {
    if (const char* wrong = cases::SmallCases(round, make)) {
      std::printf("%s differs in round %d of seed %d\n", wrong, round, seed);
      return 1;
    }
  }
  std::printf("%d rounds of random images: equal, bit for bit\n", rounds);
  std::fflush(stdout);
  if (alone::Option(argc, argv, "--large", 1) == 0) return 0;
  if (const char* wrong = cases::LargeCases(make)) {
    std::printf("%s differs\n", wrong);
    return 1;
  }
  std::printf("images of too many segments or centers: equal, bit for bit\n");
  return 0;
}
