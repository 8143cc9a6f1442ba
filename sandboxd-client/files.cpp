#include <cerrno>

#include "base/text.h"
#include "sandboxd-client/inside.h"

namespace sandboxd::client {

struct Transfer::Inside {
  Shared client;
  Connection connection;
};

Transfer::Transfer(std::unique_ptr<Inside> inside) noexcept : inside_(std::move(inside)) {}
Transfer::Transfer(Transfer&&) noexcept = default;
Transfer& Transfer::operator=(Transfer&&) noexcept = default;
Transfer::~Transfer() = default;

struct Files::Inside {
  Shared client;
  std::string jail;

  [[nodiscard]] Json with(const std::string& path) const {
    return {{"jail", jail}, {"path", protocol::bytes_to_json(path)}};
  }
  Expected<void> done(std::string_view method, const Json& parameters) const {
    Expected<Json> answer = client->ask(method, parameters);
    return answer ? Expected<void>() : Expected<void>(std::move(answer).error());
  }
  Expected<Transfer> start(std::string_view method, const Json& parameters) const;
};

Files::Files(std::unique_ptr<Inside> inside) noexcept : inside_(std::move(inside)) {}
Files::Files(Files&&) noexcept = default;
Files& Files::operator=(Files&&) noexcept = default;
Files::~Files() = default;

Files make_files(Shared inside, std::string jail) {
  return Files(std::make_unique<Files::Inside>(Files::Inside{std::move(inside), std::move(jail)}));
}

namespace {

Expected<FileStat> stat_of(const Json& value) {
  FileStat stat;
  Expected<std::string> name = bytes_at(value, "name");
  if (!name) return std::move(name).error();
  stat.name = std::move(name).value();
  stat.type = text_at(value, "type");
  stat.size = number_at(value, "size");
  stat.mode = static_cast<std::uint32_t>(number_at(value, "mode"));
  stat.modified = number_at(value, "modified");
  if (has(value, "target")) {
    Expected<std::string> target = bytes_at(value, "target");
    if (!target) return std::move(target).error();
    stat.target = std::move(target).value();
  }
  return stat;
}

Expected<Message> next_message(Connection& connection, std::uint64_t deadline) {
  Result<Message> message = connection.receive(deadline);
  if (!message.ok()) return error_of(message.error());
  if (!message->error.empty()) return error_of(*message);
  return std::move(message).value();
}

}  // namespace

Expected<FileData> Files::read(const std::string& path, std::uint64_t offset, std::uint64_t length) noexcept {
  Json parameters = inside_->with(path);
  parameters["offset"] = offset;
  parameters["length"] = length;
  Expected<Json> answer = inside_->client->ask("org.sandboxd.Files.Read", parameters);
  if (!answer) return std::move(answer).error();
  Expected<std::string> data = bytes_at(*answer, "data");
  if (!data) return std::move(data).error();
  return FileData{std::move(data).value(), flag_at(*answer, "end"), number_at(*answer, "size")};
}

Expected<std::string> Files::read_all(const std::string& path, std::uint64_t most) noexcept {
  std::string all;
  for (;;) {
    Expected<FileData> part = read(path, all.size());
    if (!part) return std::move(part).error();
    // A file that grows while it is read, or a jail that says so, must not fill our memory.
    if (part->size > most || all.size() + part->data.size() > most) {
      return Error{.kind = ErrorKind::kFileRefused,
                   .text = "read " + sandboxd::quoted(path) + ": more than " + std::to_string(most) + " bytes",
                   .code = EFBIG};
    }
    all += part->data;
    if (part->end || part->data.empty()) return all;
  }
}

Expected<void> Files::write(const std::string& path, std::string_view data, const WriteOptions& options) noexcept {
  Json parameters = inside_->with(path);
  parameters["data"] = protocol::bytes_to_json(data);
  parameters["mode"] = options.mode;
  if (options.append) parameters["append"] = true;
  if (options.exclusive) parameters["exclusive"] = true;
  return inside_->done("org.sandboxd.Files.Write", parameters);
}

Expected<std::vector<FileStat>> Files::list(const std::string& path) noexcept {
  Expected<Sent> sent = send_call(*inside_->client, "org.sandboxd.Files.List", inside_->with(path));
  if (!sent) return std::move(sent).error();
  std::vector<FileStat> all;
  for (;;) {
    Expected<Message> message = next_message(sent->connection, inside_->client->deadline());
    if (!message) return std::move(message).error();
    if (!has(message->parameters, "entries")) return malformed("no member 'entries'");
    for (const Json& entry : message->parameters["entries"]) {
      Expected<FileStat> stat = stat_of(entry);
      if (!stat) return std::move(stat).error();
      all.push_back(std::move(stat).value());
    }
    if (!message->continues) return all;
  }
}

Expected<FileStat> Files::stat(const std::string& path, bool follow) noexcept {
  Json parameters = inside_->with(path);
  if (follow) parameters["follow"] = true;
  Expected<Json> answer = inside_->client->ask("org.sandboxd.Files.Stat", parameters);
  if (!answer) return std::move(answer).error();
  return has(*answer, "stat") ? stat_of((*answer)["stat"]) : Expected<FileStat>(malformed("no member 'stat'"));
}

Expected<void> Files::remove(const std::string& path, bool recursive) noexcept {
  Json parameters = inside_->with(path);
  if (recursive) parameters["recursive"] = true;
  return inside_->done("org.sandboxd.Files.Remove", parameters);
}

Expected<Transfer> Files::Inside::start(std::string_view method, const Json& parameters) const {
  Expected<Sent> sent = send_call(*client, method, parameters);
  if (!sent) return std::move(sent).error();
  Expected<Message> started = next_message(sent->connection, client->deadline());
  if (!started) return std::move(started).error();
  std::vector<UniqueFd> fds = sent->connection.take_fds();
  if (!flag_at(started->parameters, "started") || fds.size() != 1) {
    return malformed("it did not begin with the stream");
  }
  Transfer transfer(std::make_unique<Transfer::Inside>(Transfer::Inside{client, std::move(sent->connection)}));
  transfer.stream.reset(fds[0].release());
  return transfer;
}

Expected<Transfer> Files::get(const std::string& path) noexcept {
  return inside_->start("org.sandboxd.Files.Get", inside_->with(path));
}

Expected<Transfer> Files::put(const std::string& path, const PutLimits& limits) noexcept {
  Json parameters = inside_->with(path);
  if (limits.size) parameters["size_max"] = *limits.size;
  if (limits.entries) parameters["entries_max"] = *limits.entries;
  if (limits.depth) parameters["depth_max"] = *limits.depth;
  return inside_->start("org.sandboxd.Files.Put", parameters);
}

Expected<TransferResult> Transfer::finish(std::chrono::milliseconds deadline) noexcept {
  stream.reset();
  Expected<Message> end = next_message(inside_->connection, deadline_after(deadline));
  if (!end) return std::move(end).error();
  return TransferResult{number_at(end->parameters, "files"), number_at(end->parameters, "bytes")};
}

}  // namespace sandboxd::client
