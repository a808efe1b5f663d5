// Arrays of the backward of a sample: those in between, and the sums over samples.
#pragma once

#include "attention_maps.h"
#include "gram.h"
#include "pool.h"

namespace sma::cpu::SMA_ISA {
namespace {

template <typename T, typename acc_t>
struct BackwardScratch {
  acc_t* maps;                // m [N, padded L]
  acc_t* dmaps;               // dm [N, padded L]
  acc_t* attention;           // A [rows, padded L]
  acc_t* dattention;          // dA [rows, padded L], before it is summed [chunks, rows, padded L]
  acc_t* drefined;            // dm' [N, padded L]; dA with Merge::none
  PerWorker<acc_t> region;    // [K, padded L], refined maps of one region, or S m - m
  PerWorker<uint8_t> argmax;  // [L], of one region
  acc_t* s;                   // [N, padded N]
  acc_t* mix;                 // P, then other matrices [N, padded N]
  acc_t* gate_sums;           // [R]
  // While a feature map is read or written:
  PerWorker<acc_t> buffer;  // a tile of it
  acc_t* dpooled;           // [rows, dpooled_width], for values
  acc_t* weight;            // [N, padded D], for features
  // In between, in the same memory:
  acc_t* transposed;  // m^T [L, padded N]
  acc_t* dcos;        // [N, padded N]
  Cosines<acc_t> cosines;

  BackwardScratch(Arena& arena, const Shape& shape, const Inputs& in, int64_t workers)
      : BackwardScratch(arena, shape, in, workers, padded<acc_t>(shape.positions), padded<acc_t>(shape.maps())) {}

 private:
  BackwardScratch(Arena& arena, const Shape& shape, const Inputs& in, int64_t workers, int64_t width, int64_t columns)
      : maps(arena.take<acc_t>(shape.maps() * width)),
        dmaps(arena.take<acc_t>(shape.maps() * width)),
        attention(arena.take<acc_t>(merged_rows(shape, in) * width)),
        dattention(arena.take<acc_t>(pool_backward_chunks(shape, in.values.position_stride == 1, workers) *
                                     merged_rows(shape, in) * width)),
        drefined(in.merge == Merge::none ? dattention : arena.take<acc_t>(shape.maps() * width)),
        region(arena, workers, shape.channels * width),
        argmax(arena, workers, shape.positions),
        s(arena.take<acc_t>(shape.maps() * columns)),
        mix(arena.take<acc_t>(shape.maps() * columns)),
        gate_sums(arena.take<acc_t>(shape.regions)),
        cosines(shape) {
    Arena of_maps = arena, of_features = arena;
    const int64_t tile = max_of(pool_backward_buffer_size<acc_t>(shape), feature_buffer_size<acc_t>(shape, in));
    buffer = PerWorker<acc_t>(of_features, workers, tile);
    Arena of_values = of_features;
    dpooled = of_values.take<acc_t>(merged_rows(shape, in) * dpooled_width<acc_t>(shape));
    weight = of_features.take<acc_t>(shape.maps() * padded<acc_t>(shape.embed));
    transposed = of_maps.take<acc_t>(shape.positions * columns);
    dcos = of_maps.take<acc_t>(shape.maps() * columns);
    cosines.take_from(of_maps);
    arena.used = max_of(of_values.used, max_of(of_features.used, of_maps.used));
  }
};

// Parameter gradients summed over samples, rows padded to whole vectors.
template <typename acc_t>
struct Partial {
  acc_t* weight;         // [N, padded D]
  acc_t* bias;           // [N]
  acc_t* relation_bias;  // [N, padded N]
  acc_t* temperature;
  acc_t* gate;

  Partial(Arena& arena, const Shape& shape)
      : weight(arena.take<acc_t>(shape.maps() * padded<acc_t>(shape.embed))),
        bias(arena.take<acc_t>(shape.maps())),
        relation_bias(arena.take<acc_t>(shape.maps() * padded<acc_t>(shape.maps()))),
        temperature(arena.take<acc_t>(1)),
        gate(arena.take<acc_t>(1)) {}
};

}  // namespace
}  // namespace sma::cpu::SMA_ISA
