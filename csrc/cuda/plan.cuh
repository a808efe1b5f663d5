// Host side: division of a call into blocks, and placement of its arrays.
#pragma once

#include <initializer_list>

#include "mma.cuh"
#include "pool.cuh"
#include "sma_attention_cuda.h"
#include "tiles.cuh"
#include "workspace.cuh"

namespace sma::cuda {

inline Sizes sizes_of(const Shape& shape, Merge merge) {
  const auto narrow_to_int = [](int64_t size) { return static_cast<int>(size); };
  return {narrow_to_int(shape.regions), narrow_to_int(shape.channels),
          narrow_to_int(shape.maps()),  narrow_to_int(merge == Merge::none ? shape.maps() : shape.regions),
          narrow_to_int(shape.groups),  narrow_to_int(shape.embed),
          narrow_to_int(shape.values),  narrow_to_int(shape.positions)};
}

inline int64_t tiles_of(int64_t size) { return (size + kTile - 1) / kTile; }

// The largest power of two, at most 16, that divides all of `bytes`.
inline int common_vector_bytes(std::initializer_list<int64_t> bytes) {
  int64_t bits = 16;
  for (const int64_t value : bytes) bits |= value;
  return static_cast<int>(bits & -bits);
}

template <class T>
Rows<T> rows_of(T* data, int64_t batch, int64_t batch_stride, int64_t row_stride) {
  const int64_t size = sizeof(T);
  return {
      data, batch_stride, row_stride,
      common_vector_bytes({reinterpret_cast<int64_t>(data), batch > 1 ? batch_stride * size : 0, row_stride * size})};
}

// Tiles start at multiples of 64 channels in every group of `group` channels.
template <class T>
Map<T> map_of(const FeatureMap& map, int64_t batch, int64_t positions, int64_t group) {
  if (!map.data) return {};
  const int64_t size = sizeof(T);
  const bool channels_last = map.position_stride != 1;
  Map<T> result{rows_of(static_cast<T*>(map.data), batch, map.batch_stride,
                        channels_last ? map.position_stride : map.channel_stride),
                channels_last, false};
  result.rows.vector_bytes =
      common_vector_bytes({result.rows.vector_bytes, (channels_last ? group : positions) * size});
  if (!channels_last && result.rows.vector_bytes < 16 && positions <= kTile && map.channel_stride == positions) {
    result.flat = common_vector_bytes({reinterpret_cast<int64_t>(map.data), batch > 1 ? map.batch_stride * size : 0,
                                       group * positions * size}) == 16;
  }
  return result;
}

// Places arrays in shared memory, in order, as long as they fit beside `tiles` bytes that must; the rest in the
// workspace.
inline Placement place_arrays(const int64_t* floats, int count, int64_t tiles, int64_t limit) {
  Placement placement{};
  int64_t used = tiles;
  for (int i = 0; i < count; ++i) {
    const int64_t bytes = (floats[i] * 4 + 15) / 16 * 16;
    if (used + bytes <= limit) {
      used += bytes;
      placement.in_shared |= 1u << i;
    } else {
      placement.workspace += (floats[i] + 3) / 4 * 4;
    }
  }
  placement.shared = static_cast<int>(used);
  return placement;
}

// 16-row tiles of A per block of the streaming kernels: 1, 2 or 4.
template <class T>
int row_tiles_of(int rows) {
  int tiles = 1;
  while (tiles < kMaxRowTiles<T> && 16 * tiles < rows) tiles *= 2;
  return tiles;
}

inline constexpr const char* kNoInstance =
    "no kernel holds four row tiles of 32-bit elements; this is a bug in sma_kernels";

// Positions per tile of the streaming kernels: as even a division as whole 16-byte vectors allow, of which a tile holds
// the fewest that it can.
template <class T>
int tile_positions_of(int64_t positions) {
  const int64_t tiles = tiles_of(positions), vector = 16 / sizeof(T);
  return static_cast<int>(((positions + tiles - 1) / tiles + vector - 1) / vector * vector);
}

// Tiles of channels per slice: the most, up to `max_tiles`, that leave three blocks per SM. Four fit, but a second wave
// of shorter blocks would take longer.
inline int slice_tiles_of(int64_t blocks_per_tile, int64_t tiles, int max_tiles, int sm_count) {
  int slice_tiles = max_tiles;
  while (slice_tiles > 1 &&
         blocks_per_tile * ((tiles + slice_tiles - 1) / slice_tiles) < 3 * static_cast<int64_t>(sm_count)) {
    slice_tiles /= 2;
  }
  return slice_tiles;
}

template <class T>
int row_tile_bytes(int row_tiles) {
  return 16 * row_tiles * kPitch<T> * static_cast<int>(sizeof(T));
}

// Bytes of the buffers of `stages` tiles of the values with as many tiles of rows, and of the tile over which flat
// values are spread.
template <class T>
int ring_bytes(int stages, int row_tiles, bool flat) {
  return (stages + (flat ? 1 : 0)) * kTileElements<T> * static_cast<int>(sizeof(T)) +
         stages * row_tile_bytes<T>(row_tiles);
}

// Bump allocator for the global workspace, in floats; with a null base it only counts.
class Workspace {
 public:
  explicit Workspace(void* base) : base_(static_cast<float*>(base)) {}

  float* take(int64_t floats) {
    float* array = base_ ? base_ + used_ : nullptr;
    used_ += (floats + 3) / 4 * 4;
    return array;
  }
  int64_t bytes() const { return used_ * static_cast<int64_t>(sizeof(float)); }

 private:
  float* base_;
  int64_t used_ = 0;
};

// The parts of an operand of the head kernels, and the mma_* of the streaming kernels; kAllowTf32 only with float32.
template <class T, bool kAllowTf32>
struct MmaChoice;
template <>
struct MmaChoice<float, false> {
  static constexpr int kHeadParts = 3;
  using Stream = mma_ieee;
};
template <>
struct MmaChoice<float, true> {
  static constexpr int kHeadParts = 2;
  using Stream = mma_tf32;
};
template <class T>
struct MmaChoice<T, false> {
  static constexpr int kHeadParts = 2;
  using Stream = mma_16bit<T>;
};

// run(MmaChoice<T, tf32 allowed>()).
template <class T, class Run>
auto with_mma(const Device& device, const Run& run) {
  if constexpr (sizeof(T) == 4) {
    if (device.tf32) return run(MmaChoice<T, true>());
  }
  return run(MmaChoice<T, false>());
}

}  // namespace sma::cuda
