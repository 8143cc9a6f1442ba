// What the functions of libsandboxd-client give back: a value or an Error, and descriptors that close themselves. No
// exception leaves the library; memory that can't be had ends the program. Needs C++20 and the standard library.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#define SANDBOXD_CLIENT_API __attribute__((visibility("default")))
#define SANDBOXD_CLIENT_LOCAL __attribute__((visibility("hidden")))

namespace sandboxd::client {

enum class ErrorKind : std::uint8_t {
  kSystem,        // a system call of this process failed; `code` is its errno
  kInvalid,       // an argument that the library refuses itself; nothing was asked
  kUnreachable,   // nobody listens on the daemon's socket, or this user may not use it
  kDisconnected,  // the daemon hung up
  kTimedOut,      // the deadline of the call has passed
  kMalformed,     // an answer that this library can't read
  // What the daemon says; `name` and `fields` are its own (org.sandboxd, org.sandboxd.Files).
  kDenied,
  kSetupFailed,
  kInvalidArgument,
  kNotFound,
  kLimitReached,
  kUnavailable,
  kUnsupported,  // the daemon does not know the call: it is older than this library
  kFileFailed,   // org.sandboxd.Files.Failed; `code` is the errno in the jail
  kFileRefused,  // org.sandboxd.Files.Refused: a bound was reached
  kOther
};

struct Error {
  ErrorKind kind = ErrorKind::kOther;
  std::string text{};  // one line for people; what came from outside is escaped for terminals
  std::string name{};  // of the daemon's error: "org.sandboxd.Denied"; empty for those found here
  std::vector<std::pair<std::string, std::string>> fields{};  // its fields; what is no text is JSON
  std::string json{};                                         // the same as the daemon wrote them: a JSON object
  int code = 0;                                               // an errno, where there is one

  // Empty when there is none of that name.
  [[nodiscard]] std::string_view field(std::string_view key) const noexcept {
    for (const auto& [name_of_field, value] : fields) {
      if (name_of_field == key) return value;
    }
    return {};
  }
};

// A T, or why there is none. As with a pointer, look before you read: value() without one is undefined.
template <class T> class [[nodiscard]] Expected {
 public:
  Expected(T value) : state_(std::in_place_index<0>, std::move(value)) {}      // NOLINT(google-explicit-constructor)
  Expected(Error error) : state_(std::in_place_index<1>, std::move(error)) {}  // NOLINT(google-explicit-constructor)

  [[nodiscard]] bool has_value() const noexcept { return state_.index() == 0; }
  explicit operator bool() const noexcept { return has_value(); }
  [[nodiscard]] T& value() & noexcept { return *std::get_if<0>(&state_); }
  [[nodiscard]] const T& value() const& noexcept { return *std::get_if<0>(&state_); }
  [[nodiscard]] T&& value() && noexcept { return std::move(*std::get_if<0>(&state_)); }
  [[nodiscard]] const Error& error() const& noexcept { return *std::get_if<1>(&state_); }
  [[nodiscard]] Error&& error() && noexcept { return std::move(*std::get_if<1>(&state_)); }
  T& operator*() & noexcept { return value(); }
  const T& operator*() const& noexcept { return value(); }
  T* operator->() noexcept { return &value(); }
  const T* operator->() const noexcept { return &value(); }

 private:
  std::variant<T, Error> state_;
};

template <> class [[nodiscard]] Expected<void> {
 public:
  Expected() = default;
  Expected(Error error) : failed_(true), error_(std::move(error)) {}  // NOLINT(google-explicit-constructor)

  [[nodiscard]] bool has_value() const noexcept { return !failed_; }
  explicit operator bool() const noexcept { return has_value(); }
  [[nodiscard]] const Error& error() const& noexcept { return error_; }
  [[nodiscard]] Error&& error() && noexcept { return std::move(error_); }

 private:
  bool failed_ = false;
  Error error_{};
};

// A descriptor of its own, close-on-exec.
class SANDBOXD_CLIENT_API Fd {
 public:
  Fd() noexcept = default;
  explicit Fd(int fd) noexcept : fd_(fd) {}
  Fd(Fd&& other) noexcept : fd_(other.release()) {}
  Fd& operator=(Fd&& other) noexcept {
    reset(other.release());
    return *this;
  }
  Fd(const Fd&) = delete;
  Fd& operator=(const Fd&) = delete;
  ~Fd() { reset(); }

  [[nodiscard]] int get() const noexcept { return fd_; }
  explicit operator bool() const noexcept { return fd_ >= 0; }
  [[nodiscard]] int release() noexcept { return std::exchange(fd_, -1); }
  void reset(int fd = -1) noexcept;

 private:
  int fd_ = -1;
};

}  // namespace sandboxd::client
