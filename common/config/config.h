// The configuration that both daemons and mailctl share: typed values with their defaults.
//
// One table (keys.cc) names every key with its type and its sentence; it drives the TOML file, the environment
// (POSTRIDER_SECTION_KEY), `mailctl config show` and docs/configuration.md. A default-constructed Config is what an
// empty file gives, except for the values that load() completes: server.hostname, tls.certificate, tls.key.
#pragma once

#include <chrono>
#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "common/base/clock.h"
#include "common/base/log.h"

namespace postrider {

struct Config {
  using Milliseconds = std::chrono::milliseconds;

  struct Server {
    std::string hostname;                      // empty until load() puts the system's name here
    std::string state = "/var/lib/postrider";  // the state folder
    std::string pid_directory;                 // empty: the state folder
    uint64_t loops = 0;                        // 0: one for each core
    uint64_t workers = 8;                      // threads for blocking work, in each daemon
    std::string user;                          // who to become after binding; empty: stay
    std::string group;                         // empty: the user's
    std::string confine = "on";                // "off", "on"
    Seconds drain_timeout{10};                 // how long sessions may go on after SIGTERM
  };

  struct Log {
    LogLevel level = LogLevel::info;
    std::string format = "logfmt";  // "logfmt", "json"
    LogFormat format_of() const { return format == "json" ? LogFormat::json : LogFormat::logfmt; }
  };

  /// Where each daemon tells of itself.
  struct Metrics {
    std::string address = "127.0.0.1";
    uint16_t mta_port = 0, imapd_port = 0;  // 0: off
    std::vector<std::string> networks;      // who may ask, besides this machine
  };

  struct Listener {
    std::string address = "::";
    uint16_t port = 0;  // 0: off
  };

  struct Smtp {
    std::string address = "::";
    uint16_t port = 25;  // 0: off
    uint64_t max_message_size = 50 << 20;
    uint64_t max_recipients = 1'000;
    uint64_t max_line = 64 << 10;       // octets of a line of a message, CRLF included
    uint64_t max_command_line = 2'048;  // octets of a command line, CRLF included
    uint64_t max_errors = 20;           // refused commands in a session
    uint64_t max_commands = 1'000;      // since the last message, of those that bring no message nearer
    uint64_t max_hops = 50;             // Received fields
    uint64_t max_messages = 10'000;     // in one connection
    Seconds command_timeout{300};
    Seconds data_timeout{180};
    Milliseconds greeting_delay{0};  // 0: look once for early talkers, without waiting
    Milliseconds error_delay{0};     // before each answer to a session that made many errors
    uint64_t max_connections = 10'000;
    uint64_t max_connections_per_address = 500;
    std::vector<std::string> trusted_networks;  // "192.0.2.0/24", "2001:db8::/32"
  };

  struct Imap {
    std::string address = "::";
    uint16_t port = 143;  // 0: off
    uint64_t max_connections = 20'000;
    uint64_t max_connections_per_address = 500;
    uint64_t max_connections_per_user = 100;
    uint64_t max_append_size = 50 << 20;
    uint64_t message_limit = 0;          // messages in one command; 0: any number
    uint64_t save_limit = 0;             // in one COPY or APPEND; likewise
    std::vector<std::string> url_hosts;  // names of this server in URLs, besides server.hostname
    Seconds idle_timeout{1'800};
    Seconds login_timeout{60};
  };

  struct Tls {
    std::string certificate;                     // empty until load() puts STATE/tls/certificate.pem here
    std::string key;                             // empty until load() puts STATE/tls/key.pem here
    std::vector<std::string> more_certificates;  // "certificate.pem key.pem"
    std::string client_ca;                       // empty: clients are asked for no certificate
  };

  struct Login {
    std::string default_domain;               // empty: only whole addresses log in
    uint64_t max_failures = 20;               // of an address within failure_window; 0: any number
    uint64_t max_failures_per_account = 100;  // from all addresses
    Seconds failure_window{600};
    Seconds ban{600};         // the first of an address
    std::string pam_service;  // empty: no users of this system
  };

  struct Address {
    std::string separators = "+";  // each character one separator; empty: no subaddresses
  };

  struct Queue {
    std::vector<Seconds> retry{Seconds(60),    Seconds(300),   Seconds(900),   Seconds(1'800),
                               Seconds(3'600), Seconds(7'200), Seconds(14'400)};  // the last one repeats
    Seconds lifetime{5 * 86'400};
    Seconds delay_warning{4 * 3'600};  // 0: none
    Seconds history{14 * 86'400};      // how long it is known what became of a message
    uint64_t deliverers = 4;           // local deliveries side by side
  };

  struct Audit {
    Seconds interval{86'400};  // 0: never
  };

  struct System {
    std::string root;                        // address; empty: the postmaster
    std::vector<std::string> trusted_users;  // may name any sender to the sendmail command
  };

  struct Relay {
    uint16_t port = 25;         // of other servers; for tests and special networks
    uint16_t https_port = 443;  // of their MTA-STS policies
    Seconds connect_timeout{30};
    Seconds command_timeout{300};
    Seconds idle_timeout{30};          // how long an unused connection is kept
    uint64_t max_connections = 2'000;  // outgoing, in all
    uint64_t max_connections_per_destination = 8;
    uint64_t max_messages_per_connection = 500;
    std::string smart_host;                // "smtp.example.org:587"; empty: mail goes where DNS says
    std::string smart_host_user;           // empty: no login
    std::string smart_host_password_file;  // its first line
    std::string smart_host_tls;            // a TlsLevel; empty: verified with a user, opportunistic without
  };

  struct Forward {
    std::string srs = "on";  // "off", "on"
  };

  /// Our own MTA-STS policy (RFC 8461).
  struct MtaSts {
    std::string address = "::";
    uint16_t port = 0;               // HTTPS; 0: off
    std::string mode = "testing";    // "none", "testing", "enforce"
    std::vector<std::string> hosts;  // empty: server.hostname
    Seconds max_age{7 * 86'400};
  };

  struct Reports {
    std::string tls = "on";     // TLS-RPT to other domains
    std::string dmarc = "off";  // DMARC's aggregate reports to other domains
    std::string from = "postmaster";
  };

  struct Checks {
    std::string spf = "note";          // "off", "note", "reject"
    std::string dkim = "note";         // "off", "note"
    std::string dmarc = "enforce";     // "off", "note", "enforce"
    std::string reverse_dns = "note";  // "off", "note", "reject"
    std::string helo = "note";         // "off", "note", "reject"
    Seconds timeout{5};                // of all questions to DNS for one message
  };

  struct Dkim {
    Seconds rotate{0};  // 0: keys stay until `mailctl dkim rotate`
  };

  struct Arc {
    std::vector<std::string> trusted_sealers;  // domains
  };

  struct Dnsbl {
    std::vector<std::string> zones;  // what parse_list_zones() reads
    std::string action = "reject";   // "note", "junk", "reject"
    uint64_t threshold = 1;          // zones that must list an address
    std::vector<std::string> allow;  // domains of client names that are let in all the same
  };

  struct Greylist {
    std::string enabled = "off";  // "off", "on"
    Seconds delay{300};
    Seconds window{2 * 86'400};
    Seconds memory{36 * 86'400};
  };

  /// What parse_rates() reads.
  struct Rates {
    std::vector<std::string> address, network, recipient;
    std::vector<std::string> account{"2000/1h", "10000/1d"};
  };

  struct Proxy {
    std::vector<std::string> networks;
  };

  struct Milter {
    std::vector<std::string> list;        // what parse_milter() reads
    std::string on_failure = "tempfail";  // "tempfail", "accept", "reject"
    Seconds connect_timeout{10};
    Seconds command_timeout{30};
    Seconds content_timeout{300};
  };

  struct Dns {
    std::string server;        // "127.0.0.53:53"; empty: as /etc/resolv.conf says
    std::string trust_anchor;  // a file, or "none"; empty: Debian's, where server is empty
  };

  struct Store {
    uint64_t kept_handles = 1'000;    // account files kept open, about 140 KiB each
    Seconds undelete{14 * 86'400};    // how long expunged messages are kept
    uint64_t quota = 0;               // octets, of new accounts; 0: none
    uint64_t max_messages = 0;        // of an account; 0: any number
    std::string search_index = "on";  // "off", "on"
    std::string expunged_folder;      // where users find what they removed; empty: nowhere
  };

  Server server;
  Log log;
  Metrics metrics;
  Smtp smtp;
  Listener submission{"::", 587};
  Listener submissions{"::", 465};
  Imap imap;
  Listener imaps{"::", 993};
  Tls tls;
  Login login;
  Address address;
  Queue queue;
  Audit audit;
  System system;
  Relay relay;
  Forward forward;
  MtaSts mta_sts;
  Reports reports;
  Checks checks;
  Dkim dkim;
  Arc arc;
  Dnsbl dnsbl;
  Greylist greylist;
  Rates rates;
  Proxy proxy;
  Milter milter;
  Dns dns;
  Store store;
  std::map<std::string, std::string> routes;  // domain (lower case A-label) to what parse_route() reads
  std::map<std::string, std::string> limits;  // domain or mail host to what parse_limits() reads

  /// Files of certificates and their keys, those of server.hostname first.
  std::vector<std::pair<std::string, std::string>> certificates() const {
    std::vector<std::pair<std::string, std::string>> files{{tls.certificate, tls.key}};
    for (const std::string& text : tls.more_certificates) {
      const std::string certificate = text.substr(0, text.find(' '));
      const size_t key = text.find_first_not_of(' ', certificate.size());
      files.emplace_back(certificate, key == std::string::npos ? certificate : text.substr(key));
    }
    return files;
  }
  /// Names of this server in IMAP URLs.
  std::vector<std::string> imap_names() const {
    std::vector<std::string> names{server.hostname};
    for (const std::string& name : imap.url_hosts) names.push_back(name);
    return names;
  }
  /// STATE/name: "directory.db", "imapd.hint".
  std::string in_state(std::string_view name) const { return server.state + '/' + std::string(name); }
};

}  // namespace postrider
