#include "daemon/jails/table.h"

#include <algorithm>

namespace sandboxd::jails {

uid_t account_of(const Client& client) { return client.admin ? static_cast<uid_t>(-1) : client.uid; }

bool is_own(const Client& client, const Jail& jail) { return account_of(client) == account_of(jail.client()); }

bool may_see(const Client& client, const Jail& jail) { return client.admin || is_own(client, jail); }

std::uint32_t Numbers::take() {
  const auto count = static_cast<std::uint32_t>(taken_.size());
  for (std::uint32_t tried = 1; tried < count; ++tried) {
    const std::uint32_t number = next_;
    next_ = next_ + 1 < count ? next_ + 1 : 1;
    if (mark(number)) return number;
  }
  return 0;
}

bool Numbers::mark(std::uint32_t number) {
  if (number == 0 || number >= taken_.size() || taken_[number]) return false;
  taken_[number] = true;
  ++in_use_;
  return true;
}

void Numbers::free(std::uint32_t number) {
  if (number >= taken_.size() || !taken_[number]) return;
  taken_[number] = false;
  --in_use_;
}

void Table::add(std::shared_ptr<Jail> jail) {
  by_user_[account_of(jail->client())][jail->id()] = jail;
  by_id_[jail->id()] = std::move(jail);
}

void Table::erase(const std::string& id) {
  const auto found = by_id_.find(id);
  if (found == by_id_.end()) return;
  const uid_t uid = account_of(found->second->client());
  by_user_[uid].erase(id);
  if (by_user_[uid].empty()) by_user_.erase(uid);
  by_id_.erase(found);
}

void Table::trim(std::uint64_t now) {
  std::vector<std::string> old;
  std::map<uid_t, std::vector<std::pair<std::uint64_t, std::string>>> ended_of;  // by who is charged
  for (const auto& [id, jail] : by_id_) {
    if (jail->forgettable()) {
      old.push_back(id);
    } else if (jail->over() && jail->told()) {
      ended_of[charged(account_of(jail->client()))].emplace_back(jail->over_since(), id);
    }
  }
  for (auto& [user, ended] : ended_of) {
    std::ranges::sort(ended);
    for (std::size_t i = 0; i < ended.size(); ++i) {
      const bool too_many = ended.size() - i > kEndedKept;
      if (too_many || now - ended[i].first > kEndedKeptUsec) old.push_back(ended[i].second);
    }
  }
  for (const std::string& id : old) erase(id);
}

std::shared_ptr<Jail> Table::by_id(const std::string& id) const {
  const auto found = by_id_.find(id);
  return found == by_id_.end() ? nullptr : found->second;
}

std::shared_ptr<Jail> Table::find(const Client& client, const std::string& id_or_name) const {
  if (auto jail = by_id(id_or_name); jail && may_see(client, *jail)) return jail;
  if (id_or_name.empty()) return nullptr;
  // A name may be used again once its jail has ended: the live one is meant, else the latest.
  std::shared_ptr<Jail> best;
  for (const auto& jail : visible(client)) {
    if (jail->name() != id_or_name) continue;
    const bool own = is_own(client, *jail);
    const auto rank = [](const Jail& j, bool mine) { return std::tuple(mine, !j.over(), j.over_since()); };
    if (!best || rank(*jail, own) > rank(*best, is_own(client, *best))) best = jail;
  }
  return best;
}

bool Table::name_in_use(uid_t uid, const std::string& name) const {
  const auto found = by_user_.find(uid);
  if (found == by_user_.end()) return false;
  return std::ranges::any_of(found->second,
                             [&](const auto& entry) { return !entry.second->over() && entry.second->name() == name; });
}

bool Table::has_number(std::uint32_t number) const {
  return std::ranges::any_of(
      by_id_, [&](const auto& entry) { return !entry.second->over() && entry.second->number() == number; });
}

template <class Counts> std::size_t Table::count(uid_t uid, Counts counts) const {
  const uid_t user = charged(uid);
  std::size_t found = 0;
  for (const auto& [other, jails] : by_user_) {
    if (charged(other) != user) continue;
    found += static_cast<std::size_t>(std::ranges::count_if(jails, counts));
  }
  return found;
}

std::size_t Table::alive(uid_t uid) const {
  return count(uid, [](const auto& entry) { return !entry.second->over(); });
}

std::size_t Table::starting(uid_t uid) const {
  return count(uid, [](const auto& entry) { return entry.second->state() == Jail::State::kStarting; });
}

template <class Number> Holding Table::held(uid_t uid, Number number) const {
  Holding held;
  const uid_t user = charged(uid);
  for (const auto& [other, jails] : by_user_) {
    std::uint64_t& sum = charged(other) == user ? held.own : held.others;
    for (const auto& [id, jail] : jails) sum += jail->over() ? 0 : number(*jail);
  }
  return held;
}

Holding Table::descriptors(uid_t uid) const {
  return held(uid, [](const Jail& jail) { return jail.descriptors(); });
}

Holding Table::terminals(uid_t uid) const {
  return held(uid, [](const Jail& jail) { return std::uint64_t{jail.terminals()}; });
}

std::vector<std::shared_ptr<Jail>> Table::visible(const Client& client) const {
  std::vector<std::shared_ptr<Jail>> jails;
  if (client.admin) {
    for (const auto& [id, jail] : by_id_) jails.push_back(jail);
    return jails;
  }
  const auto found = by_user_.find(account_of(client));
  if (found == by_user_.end()) return jails;
  for (const auto& [id, jail] : found->second) jails.push_back(jail);
  return jails;
}

std::vector<std::shared_ptr<Jail>> Table::of_connection(std::uint64_t connection) const {
  std::vector<std::shared_ptr<Jail>> jails;
  for (const auto& [id, jail] : by_id_) {
    if (jail->client().connection == connection && !jail->over()) jails.push_back(jail);
  }
  return jails;
}

}  // namespace sandboxd::jails
