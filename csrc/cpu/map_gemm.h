// Products with a tile of a feature map M [channels, positions], in either memory layout: sums over its channels, sums
// over its positions, and a product written to it. Logits, pooling and their backwards are built from these.
#pragma once

#include "gemm.h"

namespace sma::cpu::SMA_ISA {
namespace {

// Sums along contiguous memory use vector accumulators from this length on. For shorter ones the final sum over lanes
// costs too much, and the tile is transposed instead.
constexpr int64_t kLongSum = 64;

// Tails this short get a separate path: a vector of them would be mostly padding.
constexpr int64_t kShortTail = kDotColumns;

// out [rows, positions] (+)= left [rows, channels] right^T, with `right` [positions, channels]. Writes whole vectors.
template <bool accumulate, typename acc_t>
inline void sum_along_rows(int64_t rows, int64_t positions, int64_t channels, const acc_t* left, int64_t left_row,
                           Rows<acc_t> right, acc_t* out, int64_t out_row, Prefetcher& prefetch) {
  multiply_transposed<acc_t, accumulate>(rows, positions, channels, left, left_row, right.data, right.stride, out,
                                         out_row, prefetch);
  for (int64_t i = 0; i < rows; ++i)
    for (int64_t l = positions; l < padded<acc_t>(positions); ++l) out[i * out_row + l] = 0;
}

// out [rows, positions of M] (+)= left [rows, channels of the tile] M. Writes whole vectors.
template <bool accumulate, typename T, typename acc_t>
inline void sum_channels(const SampleMap<T>& map, const MapTile& tile, const acc_t* left, int64_t left_row,
                         int64_t rows, acc_t* out, int64_t out_row, acc_t* buffer, Prefetcher& prefetch) {
  const int64_t channels = tile.channels, positions = tile.positions;
  const T* from = map.at(tile.channel, tile.position);
  out += tile.position;
  if (!map.positions_inner() && channels >= kLongSum) {
    const Rows<acc_t> right = acc_rows(positions, channels, from, map.position_stride, buffer);
    sum_along_rows<accumulate>(rows, positions, channels, left, left_row, right, out, out_row, prefetch);
    return;
  }
  int64_t whole = 0;
  if constexpr (std::is_same_v<T, acc_t>) {
    if (map.positions_inner()) {  // in place, except the tail past the last whole vector
      whole = positions / lanes<acc_t> * lanes<acc_t>;
      multiply<acc_t, accumulate>(rows, whole, channels, left, left_row, 1, from, map.channel_stride, out, out_row,
                                  prefetch);
      if (whole == positions) return;
    }
  }
  const MapTile tail{tile.channel, channels, tile.position + whole, positions - whole};
  if (tail.positions <= kShortTail && channels >= lanes<acc_t>) {
    const int64_t buffer_row = padded<acc_t>(channels);
    read_positions(map, tail, buffer, buffer_row);
    sum_along_rows<accumulate>(rows, tail.positions, channels, left, left_row, {buffer, buffer_row}, out + whole,
                               out_row, prefetch);
    return;
  }
  const int64_t buffer_row = padded<acc_t>(tail.positions);
  read_channels(map, tail, buffer, buffer_row);
  multiply<acc_t, accumulate>(rows, buffer_row, channels, left, left_row, 1, buffer, buffer_row, out + whole, out_row,
                              prefetch);
}

// out [rows, channels of the tile] (+)= right [rows, valid positions of M] M^T. Writes whole vectors.
template <bool accumulate, typename T, typename acc_t>
inline void sum_positions(const SampleMap<T>& map, const MapTile& tile, const acc_t* right, int64_t right_row,
                          int64_t rows, acc_t* out, int64_t out_row, acc_t* buffer, Prefetcher& prefetch) {
  const int64_t channels = tile.channels, positions = tile.positions;
  right += tile.position;
  if (map.positions_inner() && positions >= kLongSum && all_valid(map, tile)) {
    const T* from = map.at(tile.channel, tile.position);
    const Rows<acc_t> left = acc_rows(channels, positions, from, map.channel_stride, buffer);
    multiply_transposed<acc_t, accumulate>(rows, channels, positions, right, right_row, left.data, left.stride, out,
                                           out_row, prefetch);
    return;
  }
  const int64_t buffer_row = padded<acc_t>(channels);
  read_positions(map, tile, buffer, buffer_row);
  multiply<acc_t, accumulate>(rows, buffer_row, positions, right, right_row, 1, buffer, buffer_row, out, out_row,
                              prefetch);
}

// M = left^T right, with left [rows, channels of the tile] and right [rows, positions of M]. If T is acc_t, whole
// vectors are written in place.
template <typename T, typename acc_t>
inline void write_product(const SampleMap<T>& map, const MapTile& tile, const acc_t* left, int64_t left_row,
                          int64_t rows, const acc_t* right, int64_t right_row, acc_t* buffer, Prefetcher& prefetch) {
  const bool inner = map.positions_inner();
  const int64_t outer = inner ? tile.channels : tile.positions, length = inner ? tile.positions : tile.channels;
  const int64_t to_row = inner ? map.channel_stride : map.position_stride;
  const acc_t *first = inner ? left : right + tile.position, *second = inner ? right + tile.position : left;
  const int64_t first_row = inner ? left_row : right_row, second_row = inner ? right_row : left_row;
  T* to = map.at(tile.channel, tile.position);
  int64_t whole = 0;
  if constexpr (std::is_same_v<T, acc_t>) {
    whole = length / lanes<acc_t> * lanes<acc_t>;
    multiply<acc_t, false>(outer, whole, rows, first, 1, first_row, second, second_row, to, to_row, prefetch);
    if (whole == length) return;
  }
  if (length - whole <= kShortTail) {
    const int64_t buffer_row = padded<acc_t>(outer);
    multiply<acc_t, false>(length - whole, buffer_row, rows, second + whole, 1, second_row, first, first_row, buffer,
                           buffer_row, prefetch);
    for (int64_t i = 0; i < outer; ++i)
      for (int64_t j = whole; j < length; ++j) from_acc(buffer[(j - whole) * buffer_row + i], to + i * to_row + j);
    return;
  }
  const int64_t buffer_row = padded<acc_t>(length) - whole;
  multiply<acc_t, false>(outer, buffer_row, rows, first, 1, first_row, second + whole, second_row, buffer, buffer_row,
                         prefetch);
  copy_out(outer, length - whole, buffer, buffer_row, to + whole, to_row);
}

}  // namespace
}  // namespace sma::cpu::SMA_ISA
