// The three products with a piece of a feature map M [channels, positions], in either layout of memory: summed over its
// channels, summed over its positions, and the one that writes it: pooling, logits and their gradients.
#pragma once

#include "gemm.h"

namespace sma::cpu::SMA_ISA {
namespace {

// From this length on a sum along memory is taken in vectors, whose lanes are added up at its end; a shorter one is not
// worth that, and its matrix is transposed.
constexpr int64_t kLongSum = 64;

// So few positions or channels past the last whole vector are worth a way of their own: a vector of them would be
// mostly padding.
constexpr int64_t kFew = kDotColumns;

// out [rows, positions] (+)= left [rows, channels] right^T, rows of `right` along the channels. Fills whole vectors.
template <bool accumulate, typename W>
inline void sum_along_rows(int64_t rows, int64_t positions, int64_t channels, const W* left, int64_t left_row,
                           Rows<W> right, W* out, int64_t out_row, Ahead& next) {
  multiply_transposed<W, accumulate>(rows, positions, channels, left, left_row, right.data, right.stride, out, out_row,
                                     next);
  for (int64_t i = 0; i < rows; ++i)
    for (int64_t l = positions; l < padded<W>(positions); ++l) out[i * out_row + l] = 0;
}

// out [rows, positions of M] (+)= left [rows, channels of the piece] M. Rows of `out` take whole vectors.
template <bool accumulate, typename T, typename W>
inline void sum_channels(const SampleMap<T>& map, const Piece& piece, const W* left, int64_t left_row, int64_t rows,
                         W* out, int64_t out_row, W* tile, Ahead& next) {
  const int64_t channels = piece.channels, positions = piece.positions;
  const T* from = map.at(piece.channel, piece.position);
  out += piece.position;
  if (!map.positions_inner() && channels >= kLongSum) {
    const Rows<W> right = wide_rows(positions, channels, from, map.position_stride, tile);
    sum_along_rows<accumulate>(rows, positions, channels, left, left_row, right, out, out_row, next);
    return;
  }
  int64_t whole = 0;
  if constexpr (std::is_same_v<T, W>) {
    if (map.positions_inner()) {  // read where they lie, but for the positions past the last whole vector
      whole = positions / lanes<W> * lanes<W>;
      multiply<W, accumulate>(rows, whole, channels, left, left_row, 1, from, map.channel_stride, out, out_row, next);
      if (whole == positions) return;
    }
  }
  const Piece rest{piece.channel, channels, piece.position + whole, positions - whole};
  if (rest.positions <= kFew && channels >= lanes<W>) {
    const int64_t tile_row = padded<W>(channels);
    read_positions(map, rest, tile, tile_row);
    sum_along_rows<accumulate>(rows, rest.positions, channels, left, left_row, {tile, tile_row}, out + whole, out_row,
                               next);
    return;
  }
  const int64_t tile_row = padded<W>(rest.positions);
  read_channels(map, rest, tile, tile_row);
  multiply<W, accumulate>(rows, tile_row, channels, left, left_row, 1, tile, tile_row, out + whole, out_row, next);
}

// out [rows, channels of the piece] (+)= right [rows, positions of M] M^T. Rows of `out` take whole vectors.
template <bool accumulate, typename T, typename W>
inline void sum_positions(const SampleMap<T>& map, const Piece& piece, const W* right, int64_t right_row, int64_t rows,
                          W* out, int64_t out_row, W* tile, Ahead& next) {
  const int64_t channels = piece.channels, positions = piece.positions;
  right += piece.position;
  if (map.positions_inner() && positions >= kLongSum) {
    const T* from = map.at(piece.channel, piece.position);
    const Rows<W> left = wide_rows(channels, positions, from, map.channel_stride, tile);
    multiply_transposed<W, accumulate>(rows, channels, positions, right, right_row, left.data, left.stride, out,
                                       out_row, next);
    return;
  }
  const int64_t tile_row = padded<W>(channels);
  read_positions(map, piece, tile, tile_row);
  multiply<W, accumulate>(rows, tile_row, positions, right, right_row, 1, tile, tile_row, out, out_row, next);
}

// M = left^T right, with left [rows, channels of the piece] and right [rows, positions of M]. Whole vectors of the wide
// type go straight to memory.
template <typename T, typename W>
inline void write_product(const SampleMap<T>& map, const Piece& piece, const W* left, int64_t left_row, int64_t rows,
                          const W* right, int64_t right_row, W* tile, Ahead& next) {
  const bool inner = map.positions_inner();
  const int64_t outer = inner ? piece.channels : piece.positions, length = inner ? piece.positions : piece.channels;
  const int64_t to_row = inner ? map.channel_stride : map.position_stride;
  const W *first = inner ? left : right + piece.position, *second = inner ? right + piece.position : left;
  const int64_t first_row = inner ? left_row : right_row, second_row = inner ? right_row : left_row;
  T* to = map.at(piece.channel, piece.position);
  int64_t whole = 0;
  if constexpr (std::is_same_v<T, W>) {
    whole = length / lanes<W> * lanes<W>;
    multiply<W, false>(outer, whole, rows, first, 1, first_row, second, second_row, to, to_row, next);
    if (whole == length) return;
  }
  if (length - whole <= kFew) {
    const int64_t tile_row = padded<W>(outer);
    multiply<W, false>(length - whole, tile_row, rows, second + whole, 1, second_row, first, first_row, tile, tile_row,
                       next);
    for (int64_t i = 0; i < outer; ++i)
      for (int64_t j = whole; j < length; ++j) narrow(tile[(j - whole) * tile_row + i], to + i * to_row + j);
    return;
  }
  const int64_t tile_row = padded<W>(length) - whole;
  multiply<W, false>(outer, tile_row, rows, first, 1, first_row, second + whole, second_row, tile, tile_row, next);
  copy_out(outer, length - whole, tile, tile_row, to + whole, to_row);
}

}  // namespace
}  // namespace sma::cpu::SMA_ISA
