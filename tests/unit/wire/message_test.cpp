#include "daemon/wire/message.h"

#include <cerrno>

#include <gtest/gtest.h>

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/file.h"
#include "base/socket.h"
#include "daemon/wire/audit.h"
#include "daemon/wire/claim.h"
#include "daemon/wire/launcher.h"
#include "daemon/wire/plan.h"
#include "daemon/wire/profile_set.h"

namespace sandboxd::wire {
namespace {

using Bytes = std::vector<std::uint8_t>;

JailPlan sample_plan() {
  JailPlan plan;
  plan.number = 7;
  plan.jail = "j-7";
  plan.request = "r-1";
  plan.profile = "default";
  plan.profile_hash.fill(9);
  plan.has_token = true;
  plan.token.fill(3);
  plan.home = "/home/u";
  plan.binds = {{1, "/work", Access::kRw, true}, {2, "/data", Access::kRo, false}};
  plan.tmpfs = {{"/tmp", 1 << 20, 100, 01777}};
  plan.dirs = {"/a", "/b"};
  plan.limits.wall_time = 5'000'000;
  plan.job = {{"/bin/echo", "x"}, {"A=b"}, "/work", StdioMode::kInherit, {0, 1, 2}};
  return plan;
}

ProfileSet sample_profiles() {
  ProfileSet set;
  set.hash.fill(1);
  set.config.profile_dirs = {"/etc/sandboxd/profiles.d"};
  set.config.allowed_ids = {0, 33};
  Profile profile;
  profile.name = "default";
  profile.filter = Bytes(64, 6);
  profile.tmpfs = {{"/tmp", 1, 2, 3}};
  profile.env = {{"LANG", "C"}};
  set.profiles = {profile, profile};
  return set;
}

Started sample_started() {
  Started started;
  started.number = 3;
  started.audit_index = 99;
  started.readback.facts = {{"seccomp", "2"}, {"ns.net", "4026531840"}};
  return started;
}

struct One {
  std::uint32_t number = 0;
  bool flag = false;
  template <class A> void fields(A& a) {
    a(number);
    a(flag);
  }
};
struct Strings {
  std::vector<std::string> all{};
  template <class A> void fields(A& a) { a(all); }
};

// Every prefix is refused, so is one byte more; the whole is what it was.
template <class T> void check_round_trip(const T& value) {
  const Bytes whole = encode(value);
  T again{};
  ASSERT_TRUE(decode(whole, again));
  EXPECT_EQ(encode(again), whole);
  for (std::size_t size = 0; size < whole.size(); ++size) {
    T cut{};
    ASSERT_FALSE(decode(std::span(whole).first(size), cut)) << size;
  }
  Bytes longer = whole;
  longer.push_back(0);
  T more{};
  EXPECT_FALSE(decode(longer, more));
}

TEST(WireCodec, CarriesEveryStructAndRefusesEveryTruncation) {
  check_round_trip(sample_plan());
  check_round_trip(sample_profiles());
  check_round_trip(sample_started());
  check_round_trip(NumberRequest{5});
  check_round_trip(NumberList{{1, 2, 3}});
  check_round_trip(Done{5});
  check_round_trip(Failed{"clone", EPERM, "detail", true});
  check_round_trip(AuditRecord{"jail.start", AuditPhase::kIntent, "ok", "r", "j", 1000, "{}", "e-1"});
  check_round_trip(Ack{1, {}});
  check_round_trip(Refused{ENOSPC, "full"});
  check_round_trip(Claim{{1}});
  check_round_trip(Claimant{1000, 1000, {1, 2}, true});
  check_round_trip(Claimed{true});
}

TEST(WireCodec, KeepsValues) {
  JailPlan plan;
  ASSERT_TRUE(decode(encode(sample_plan()), plan));
  EXPECT_EQ(plan, sample_plan());
  ProfileSet set;
  ASSERT_TRUE(decode(encode(sample_profiles()), set));
  EXPECT_EQ(set, sample_profiles());
}

TEST(WireCodec, RefusesABooleanThatIsNeither) {
  const Bytes bytes = {1, 0, 0, 0, 2};
  One one;
  EXPECT_FALSE(decode(bytes, one));
}

TEST(WireCodec, AllocatesNothingForACountThatLies) {
  // 65,536 strings announced, none there; and a string of 4 GiB.
  Strings strings;
  EXPECT_FALSE(decode(Bytes{0x00, 0x00, 0x01, 0x00}, strings));
  EXPECT_LE(strings.all.size(), 1U);
  EXPECT_FALSE(decode(Bytes{0xFF, 0xFF, 0xFF, 0xFF}, strings));
  EXPECT_FALSE(decode(Bytes{0x01, 0, 0, 0, 0xFF, 0xFF, 0xFF, 0xFF}, strings));
}

class WireMessage : public ::testing::Test {
 protected:
  WireMessage() {
    auto pair = socket_pair(SOCK_SEQPACKET);
    a_ = std::move(pair->first);
    b_ = std::move(pair->second);
  }
  // The error of what `bytes` is taken for.
  int code_of(const Bytes& bytes, std::span<const int> fds = {}, std::size_t max_fds = 0) const {
    EXPECT_TRUE(send_packet(a_.get(), bytes, fds).ok());
    const Result<Message> message = receive_message(b_.get(), max_fds);
    return message.ok() ? 0 : message.error().code;
  }
  static Bytes header(const Header& header, std::size_t body = 0) {
    Bytes bytes(sizeof header + body);
    std::memcpy(bytes.data(), &header, sizeof header);
    return bytes;
  }

  UniqueFd a_, b_;
};

TEST_F(WireMessage, CarriesTypeIdBodyAndDescriptors) {
  const UniqueFd usr(::open("/usr", O_RDONLY | O_CLOEXEC));
  const int fds[] = {usr.get()};
  ASSERT_TRUE(send(a_.get(), ClaimMessage::kClaim, 42, Claim{{7}}, fds).ok());
  const Result<Message> message = receive_message(b_.get(), 1);
  ASSERT_TRUE(message.ok());
  EXPECT_EQ(message->type, 1);
  EXPECT_EQ(message->id, 42U);
  EXPECT_EQ(message->fds.size(), 1U);
  EXPECT_EQ(body_of<Claim>(*message)->token[0], 7);
}

TEST_F(WireMessage, CarriesALargeBodyInASealedMemfdBesideDescriptors) {
  const UniqueFd usr(::open("/usr", O_RDONLY | O_CLOEXEC));
  const int fds[] = {usr.get()};
  for (const std::size_t size : {kMaxInline - sizeof(Header), kMaxInline - sizeof(Header) + 1, std::size_t{1} << 20}) {
    const Bytes body(size, 0x5A);
    ASSERT_TRUE(send_message(a_.get(), 1, 2, body, fds).ok()) << size;
    const Result<Message> message = receive_message(b_.get(), 1);
    ASSERT_TRUE(message.ok()) << size << message.error().message();
    EXPECT_EQ(message->body, body);
    EXPECT_EQ(message->fds.size(), 1U);
  }
}

TEST_F(WireMessage, SendsNothingPastTheMost) {
  EXPECT_EQ(send_message(a_.get(), 1, 2, Bytes(kMaxBody + 1)).error().code, EMSGSIZE);
}

TEST_F(WireMessage, RefusesABodyThatItsSenderCouldStillChange) {
  const UniqueFd memfd(::memfd_create("test", MFD_CLOEXEC | MFD_ALLOW_SEALING));
  ASSERT_EQ(::ftruncate(memfd.get(), 100), 0);
  const int fds[] = {memfd.get()};
  Header spilled;
  spilled.size = 100;
  spilled.flags = 1;
  EXPECT_EQ(code_of(header(spilled), fds), EPERM);
  ASSERT_EQ(::fcntl(memfd.get(), F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL), 0);
  EXPECT_EQ(code_of(header(spilled), fds), EPERM);
}

TEST_F(WireMessage, RefusesASpilledBodyOfAnotherSizeOrThatIsNoMemfd) {
  const Result<UniqueFd> memfd = sealed_memfd("test", Bytes(100));
  ASSERT_TRUE(memfd.ok());
  const int fds[] = {memfd->get()};
  Header spilled;
  spilled.size = 99;
  spilled.flags = 1;
  EXPECT_EQ(code_of(header(spilled), fds), EPROTO);
  const UniqueFd file(::open("/etc/passwd", O_RDONLY | O_CLOEXEC));
  const int files[] = {file.get()};
  EXPECT_NE(code_of(header(spilled), files), 0);
  EXPECT_EQ(code_of(header(spilled)), EPROTO) << "no descriptor at all";
}

TEST_F(WireMessage, RefusesAnotherMagicVersionSizeOrFlag) {
  Header magic;
  magic.magic ^= 1;
  EXPECT_EQ(code_of(header(magic)), EPROTO);
  Header version;
  version.version = 2;
  EXPECT_EQ(code_of(header(version)), EPROTO);
  Header size;
  size.size = 1;
  EXPECT_EQ(code_of(header(size)), EPROTO);
  Header flag;
  flag.flags = 2;
  EXPECT_EQ(code_of(header(flag)), EPROTO);
  Header longer;
  EXPECT_EQ(code_of(header(longer, 1)), EPROTO);
  EXPECT_EQ(code_of(header(longer)), 0);
}

TEST_F(WireMessage, RefusesEveryTruncationOfItsHeader) {
  const Bytes whole = header(Header{});
  for (std::size_t size = 1; size < whole.size(); ++size) {
    EXPECT_EQ(code_of(Bytes(whole.begin(), whole.begin() + static_cast<std::ptrdiff_t>(size))), EPROTO) << size;
  }
}

TEST_F(WireMessage, RefusesADescriptorThatNobodyWants) {
  const UniqueFd usr(::open("/usr", O_RDONLY | O_CLOEXEC));
  const int fds[] = {usr.get()};
  EXPECT_EQ(code_of(header(Header{}), fds, 0), EPROTO);
}

TEST_F(WireMessage, SaysWhenThePeerHasClosed) {
  a_.reset();
  const Result<Message> message = receive_message(b_.get(), 0);
  ASSERT_TRUE(message.ok());
  EXPECT_TRUE(message->end);
}

TEST_F(WireMessage, NamesTheTypeOfAMalformedBody) {
  Message message;
  message.type = 5;
  message.body = {1, 2, 3};
  const Result<Claim> claim = body_of<Claim>(message);
  ASSERT_FALSE(claim.ok());
  EXPECT_EQ(claim.error().code, EPROTO);
}

}  // namespace
}  // namespace sandboxd::wire
