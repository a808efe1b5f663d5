// The gradient of values that no gradient reached.
#pragma once

#include "launch.cuh"
#include "tiles.cuh"
#include "workspace.cuh"

namespace sma::cuda {

template <class T>
struct ZeroMap {
  Map<T> map;
  int channels, positions;
};

constexpr int kZeroThreads = 256;

// A block clears one sample's positions of 64 channels.
template <class T>
__global__ void __launch_bounds__(kZeroThreads) zero_map(const __grid_constant__ ZeroMap<T> p) {
  const int64_t tiles = (p.channels + kTile - 1) / kTile;
  const int64_t sample = block() / tiles;
  const int first = static_cast<int>(block() % tiles) * kTile;
  const int channels = min(kTile, p.channels - first);
  for (int64_t i = thread(); i < static_cast<int64_t>(channels) * p.positions; i += threads()) {
    const int channel = static_cast<int>(p.map.channels_last ? i % channels : i / p.positions);
    const int position = static_cast<int>(p.map.channels_last ? i / channels : i % p.positions);
    *p.map.at(sample, first + channel, position) = narrow<T>(0.0f);
  }
}

template <class T>
const char* launch_zero_map(const Map<T>& map, const Sizes& n, int64_t batch, void* stream) {
  const ZeroMap<T> p{map, n.values, n.positions};
  return launch(zero_map<T>, batch * ((n.values + kTile - 1) / kTile), kZeroThreads, 0, stream, p);
}

}  // namespace sma::cuda
