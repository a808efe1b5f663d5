// Divides the work on a sample over the threads of a team, at boundaries that change no bit: every element of a result
// is computed by one thread, in the order in which one thread alone computes it.
#pragma once

#include "kernels.h"
#include "matrix.h"

namespace sma::cpu::SMA_ISA {
namespace {

// Calls body(task, worker) for every task.
template <typename Body>
SMA_INLINE void each_task(const Team& team, int64_t tasks, const Body& body) {
  if (team.workers == 1) {
    for (int64_t task = 0; task < tasks; ++task) body(task, 0);
  } else {
    team.run(
        team.crew, tasks,
        [](const void* closure, int64_t task, int64_t worker) { (*static_cast<const Body*>(closure))(task, worker); },
        &body);
  }
}

// Parts of `size` elements that start and end at multiples of `step`, except for the end of the last one.
struct Parts {
  int64_t size, step, units, count;

  int64_t start(int64_t part) const { return part == count ? size : units * part / count * step; }
};

// None is shorter than `step`, because short remainders are summed in another order than the middle of a long range.
inline Parts long_parts(int64_t size, int64_t step, int64_t most) {
  const int64_t units = max_of(1, size / step);
  return {size, step, units, min_of(most, units)};
}

// Of tiles that one thread, too, computes one by one; the last one may be short.
inline Parts tile_parts(int64_t size, int64_t tile, int64_t most) {
  const int64_t units = (size + tile - 1) / tile;
  return {size, tile, units, min_of(most, units)};
}

// Elements for which it pays to call a thread: of exponentials, and of copies and sums.
constexpr int64_t kFewExponentials = 512, kFewCopies = 2048;

// The step that gives a part at least `elements` if every index has `per_index`.
inline int64_t at_least(int64_t elements, int64_t per_index) { return max_of(1, elements / max_of(1, per_index)); }

// Calls body(first, last, worker) for each part.
template <typename Body>
SMA_INLINE void each_part(const Team& team, const Parts& parts, const Body& body) {
  each_task(team, parts.count,
            [&](int64_t part, int64_t worker) { body(parts.start(part), parts.start(part + 1), worker); });
}

// Calls body(first, last, worker) for parts of 0..size: one if the team is one thread.
template <typename Body>
SMA_INLINE void each_range(const Team& team, int64_t size, int64_t step, const Body& body) {
  each_part(team, long_parts(size, step, team.workers), body);
}

// Calls body(outer first, outer last, first, last, worker) for parts of a plane. The inner axis is divided only if the
// outer one has fewer elements than the team has threads: each part then has one of them.
template <typename Body>
SMA_INLINE void each_rectangle(const Team& team, int64_t outer, int64_t size, int64_t step, const Body& body) {
  const Parts rows = long_parts(outer, 1, team.workers);
  const Parts columns = long_parts(size, step, (team.workers + rows.count - 1) / rows.count);
  each_task(team, rows.count * columns.count, [&](int64_t task, int64_t worker) {
    const int64_t row = task / columns.count, column = task % columns.count;
    body(rows.start(row), rows.start(row + 1), columns.start(column), columns.start(column + 1), worker);
  });
}

// An array of scratch for each worker.
template <typename acc_t>
class PerWorker {
 public:
  PerWorker() = default;
  PerWorker(Arena& arena, int64_t workers, int64_t count)
      : start_(arena.take<acc_t>(workers * padded_to_line(count))), stride_(padded_to_line(count)) {}
  acc_t* operator[](int64_t worker) const { return start_ + worker * stride_; }

 private:
  static int64_t padded_to_line(int64_t count) { return (count + 63) / 64 * 64; }

  acc_t* start_ = nullptr;
  int64_t stride_ = 0;
};

}  // namespace
}  // namespace sma::cpu::SMA_ISA
