// Result<T>: a value, or an errno with a chain of context, outermost first. Each level adds what only it knows; nobody
// logs on the way. A message reads "start job 7: read limit: open '/nope': No such file or directory (ENOENT)".
// Error codes are errno values (errno(3)); 0 means that the failure is no system call's.
#pragma once

#include <string>
#include <string_view>
#include <utility>
#include <variant>

#include <fmt/core.h>

namespace sandboxd {

struct Error {
  int code = 0;
  std::string context{};

  [[nodiscard]] std::string message() const;
  bool operator==(const Error&) const = default;
};

// "ENOENT" for 2; "E4095" for what errno(3) does not name.
[[nodiscard]] std::string errno_name(int code);

template <class T = std::monostate> class [[nodiscard]] Result {
 public:
  Result(T value) : state_(std::in_place_index<0>, std::move(value)) {}      // NOLINT(google-explicit-constructor)
  Result(Error error) : state_(std::in_place_index<1>, std::move(error)) {}  // NOLINT(google-explicit-constructor)
  Result() requires std::is_same_v<T, std::monostate> : state_(std::in_place_index<0>) {}

  [[nodiscard]] bool ok() const noexcept { return state_.index() == 0; }
  explicit operator bool() const noexcept { return ok(); }
  [[nodiscard]] T& value() & { return *std::get_if<0>(&state_); }
  [[nodiscard]] const T& value() const& { return *std::get_if<0>(&state_); }
  [[nodiscard]] T&& value() && { return std::move(*std::get_if<0>(&state_)); }
  [[nodiscard]] const Error& error() const& { return *std::get_if<1>(&state_); }
  [[nodiscard]] Error&& error() && { return std::move(*std::get_if<1>(&state_)); }
  T* operator->() { return &value(); }
  T& operator*() & { return value(); }
  const T* operator->() const { return &value(); }
  const T& operator*() const& { return value(); }

  // Puts "text: " before the error's context; the text is built on failure only.
  template <class... A> Result context(fmt::format_string<A...> format, A&&... args) && {
    if (Error* error = std::get_if<1>(&state_)) {
      std::string text = fmt::format(format, std::forward<A>(args)...);
      error->context = error->context.empty() ? std::move(text) : text + ": " + error->context;
    }
    return std::move(*this);
  }

 private:
  std::variant<T, Error> state_;
};

using Status = Result<>;

// Reads errno before any formatting can touch it.
template <class... A> [[nodiscard]] Error sys_error_code(int code, fmt::format_string<A...> format, A&&... args) {
  return Error{code, fmt::format(format, std::forward<A>(args)...)};
}
#define sys_error(...) ::sandboxd::sys_error_code(errno, __VA_ARGS__)

// A failure that no errno describes.
template <class... A> [[nodiscard]] Error make_error(fmt::format_string<A...> format, A&&... args) {
  return Error{0, fmt::format(format, std::forward<A>(args)...)};
}

}  // namespace sandboxd

// The only two control-flow macros of the tree.
#define SANDBOXD_JOIN_(a, b) a##b
#define SANDBOXD_JOIN(a, b) SANDBOXD_JOIN_(a, b)
#define TRY(expression)                                           \
  do {                                                            \
    auto try_status_ = (expression);                              \
    if (!try_status_.ok()) return std::move(try_status_).error(); \
  } while (false)
#define TRY_ASSIGN_(result, declaration, expression)    \
  auto result = (expression);                           \
  if (!(result).ok()) return std::move(result).error(); \
  declaration = std::move(result).value()
#define TRY_ASSIGN(declaration, expression) TRY_ASSIGN_(SANDBOXD_JOIN(try_result_, __LINE__), declaration, expression)
