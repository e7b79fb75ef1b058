#include "mailctl/resolver.h"

#include <arpa/inet.h>
#include <arpa/nameser.h>
#include <netdb.h>

#include <array>

#include "common/config/values.h"
#include "common/mailauth/ip.h"

namespace postrider::mailctl {
namespace {

constexpr size_t kMaxAnswer = 64 << 10;

/// Octets before the name in the RDATA of these types; npos: there is none.
size_t before_name(DnsType type) {
  switch (type) {
    case DnsType::ptr:
      return 0;
    case DnsType::mx:
      return 2;  // the preference
    case DnsType::srv:
      return 6;  // priority, weight and port
    default:
      return std::string::npos;
  }
}

std::string rdata_of(const ns_msg& message, const ns_rr& record, DnsType type) {
  const unsigned char* data = ns_rr_rdata(record);
  const size_t size = ns_rr_rdlen(record);
  const size_t fixed = before_name(type);
  if (fixed >= size) return std::string(reinterpret_cast<const char*>(data), size);
  std::array<unsigned char, NS_MAXCDNAME> name{};
  if (::ns_name_unpack(ns_msg_base(message), ns_msg_end(message), data + fixed, name.data(), name.size()) < 0)
    return {};
  std::string rdata(reinterpret_cast<const char*>(data), fixed);
  size_t end = 0;
  while (end < name.size() && name[end] != 0) end += 1 + size_t{name[end]};
  return rdata.append(reinterpret_cast<const char*>(name.data()), std::min(end + 1, name.size()));
}

}  // namespace

Resolver::Resolver(const std::string& server) {
  ready_ = ::res_ninit(&state_) == 0;
  state_.retrans = 2;
  state_.retry = 1;
  if (server.empty()) return;
  auto endpoint = config::parse_endpoint(server);
  in_addr address{};
  if (!endpoint || ::inet_pton(AF_INET, endpoint->host.c_str(), &address) != 1) return;
  state_.nscount = 1;
  state_.nsaddr_list[0].sin_family = AF_INET;
  state_.nsaddr_list[0].sin_addr = address;
  state_.nsaddr_list[0].sin_port = htons(endpoint->port);
}

Resolver::~Resolver() {
  if (ready_) ::res_nclose(&state_);
}

DnsAnswer Resolver::ask(const std::string& name, DnsType type) {
  DnsAnswer answer;
  answer.reason = "no name server answers";
  std::vector<unsigned char> octets(kMaxAnswer);
  const int size = ready_ ? ::res_nquery(&state_, name.c_str(), ns_c_in, static_cast<int>(type), octets.data(),
                                         static_cast<int>(octets.size()))
                          : -1;
  if (size < 0) {
    if (state_.res_h_errno == HOST_NOT_FOUND) answer.status = DnsAnswer::Status::no_domain;
    if (state_.res_h_errno == NO_DATA) answer.status = DnsAnswer::Status::no_data;
    return answer;
  }
  ns_msg message;
  if (::ns_initparse(octets.data(), size, &message) != 0) return answer;
  for (int i = 0; i < ns_msg_count(message, ns_s_an); ++i) {
    ns_rr record;
    if (::ns_parserr(&message, ns_s_an, i, &record) != 0 || ns_rr_type(record) != static_cast<int>(type)) continue;
    answer.records.push_back(rdata_of(message, record, type));
  }
  answer.status = answer.records.empty() ? DnsAnswer::Status::no_data : DnsAnswer::Status::found;
  return answer;
}

std::vector<std::string> addresses_of(Resolver& resolver, const std::string& host, bool& silent) {
  std::vector<std::string> addresses;
  silent = true;
  for (DnsType type : {DnsType::a, DnsType::aaaa}) {
    const DnsAnswer answer = resolver.ask(host, type);
    silent = silent && answer.status == DnsAnswer::Status::failed;
    for (const std::string& rdata : answer.records) {
      if (auto address = IpAddress::from_rdata(rdata)) addresses.push_back(address->to_string());
    }
  }
  return addresses;
}

std::vector<std::string> hosts_of(const DnsAnswer& answer, DnsType type) {
  std::vector<std::string> hosts;
  for (const std::string& rdata : answer.records) {
    const size_t fixed = before_name(type);
    if (fixed > rdata.size()) continue;
    if (auto name = parse_name(std::string_view(rdata).substr(fixed))) hosts.push_back(std::move(*name));
  }
  return hosts;
}

std::vector<std::string> texts_of(const DnsAnswer& answer) {
  std::vector<std::string> texts;
  for (const std::string& rdata : answer.records) texts.push_back(parse_txt(rdata));
  return texts;
}

}  // namespace postrider::mailctl
