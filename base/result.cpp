#include "base/result.h"

#include <cstring>

#include "base/errno_hints.h"

namespace sandboxd {

std::string errno_name(int code) {
  if (const char* name = ::strerrorname_np(code)) return name;
  return fmt::format("E{}", code);
}

std::string Error::message() const {
  if (code == 0) return context;
  std::string text = context.empty() ? std::string() : context + ": ";
  if (const char* description = ::strerrordesc_np(code)) text += description;
  text += fmt::format(" ({})", errno_name(code));
  if (const std::string_view hint = errno_hint(context, code); !hint.empty()) text += fmt::format("; {}", hint);
  return text;
}

}  // namespace sandboxd
