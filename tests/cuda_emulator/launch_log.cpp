// Counts launches instead of running them.
#include <string>

#include "emulator.h"

namespace emulator {
namespace {

bool counting_only = false;
int64_t launched = 0;
std::string launched_lines;

void note_launch(const Launch& launch) {
  launched_lines.append(launch.name);
  for (const int64_t number : {int64_t{launch.blocks}, int64_t{launch.threads}, int64_t{launch.shared},
                               int64_t{launch.cluster}, int64_t{launch.cooperative}}) {
    launched_lines.append("\t").append(std::to_string(number));
  }
  launched_lines.append("\t");
  constexpr const char* kDigits = "0123456789abcdef";
  for (const char character : launch.argument) {
    const auto byte = static_cast<unsigned char>(character);
    launched_lines.push_back(kDigits[byte / 16]);
    launched_lines.push_back(kDigits[byte % 16]);
  }
  launched_lines.push_back('\n');
}

}  // namespace

void count_only(bool counting) {
  counting_only = counting;
  launched = 0;
  launched_lines.clear();
}

int64_t launches() { return launched; }

std::string launch_lines() { return launched_lines; }

bool only_counted(const Launch& launch) {
  ++launched;
  if (counting_only) note_launch(launch);
  return counting_only;
}

}  // namespace emulator
