#include "common/config/keys.h"

#include <algorithm>
#include <array>

#include "common/base/ascii.h"

namespace postrider::config {
namespace {

template <auto section, auto member>
constexpr auto at() {
  return +[](Config& config) -> auto& { return config.*section.*member; };
}

using Server = Config::Server;
using Metrics = Config::Metrics;
using Smtp = Config::Smtp;
using Listener = Config::Listener;
using Imap = Config::Imap;
using Queue = Config::Queue;
using Audit = Config::Audit;
using System = Config::System;
using Relay = Config::Relay;
using Forward = Config::Forward;
using Checks = Config::Checks;
using MtaSts = Config::MtaSts;
using Reports = Config::Reports;
using Login = Config::Login;
using Milter = Config::Milter;
using Dnsbl = Config::Dnsbl;
using Greylist = Config::Greylist;
using Rates = Config::Rates;
using Store = Config::Store;

constexpr uint64_t kOctetsKept = uint64_t{1} << 40;
constexpr uint64_t kYear = 366 * 86'400;

constexpr auto kKeys = std::to_array<Key>({
    {"server.hostname", Kind::text, at<&Config::server, &Server::hostname>(),
     "The name of this server, as it greets, as it writes into trace fields, and as its certificate says. It must "
     "resolve to "
     "this machine, and the machine's address back to it, or other servers refuse its mail.",
     0, 255, "the name of the system"},
    {"server.state", Kind::text, at<&Config::server, &Server::state>(),
     "The state folder: directory, queue, accounts, keys, sockets between the daemons. It must be on a local file "
     "system."},
    {"server.pid_directory", Kind::text, at<&Config::server, &Server::pid_directory>(),
     "Where mta.pid and imapd.pid are written.", 0, 4096, "the state folder"},
    {"server.loops", Kind::number, at<&Config::server, &Server::loops>(),
     "Event loops, and threads that run them, of each daemon; 0 takes one for each processor core.", 0, 256},
    {"server.workers", Kind::number, at<&Config::server, &Server::workers>(),
     "Threads of each daemon for work that waits: the database, the disk, password hashes.", 1, 256},
    {"server.user", Kind::text, at<&Config::server, &Server::user>(),
     "The user that a daemon started by root becomes when its ports are bound; empty: it stays who it is.", 0, 32},
    {"server.group", Kind::text, at<&Config::server, &Server::group>(),
     "The group that goes with server.user; empty: that user's own.", 0, 32},
    {"server.confine",
     Kind::choice,
     at<&Config::server, &Server::confine>(),
     "Whether the daemons take from themselves what they do not need: to start programs and to change the system "
     "(seccomp), "
     "and to write anywhere but in server.state, server.pid_directory and the folders for temporary files (Landlock). "
     "The "
     "log says where the kernel has not got it.",
     0,
     0,
     {},
     "off|on"},
    {"server.drain_timeout", Kind::duration, at<&Config::server, &Server::drain_timeout>(),
     "How long sessions may go on after SIGTERM before they are cut.", 0, 3'600},

    {"log.level", Kind::log_level, at<&Config::log, &Config::Log::level>(),
     "The least important lines to write: \"debug\", \"info\", \"warn\" or \"error\". Logs go to standard error."},
    {"log.format",
     Kind::choice,
     at<&Config::log, &Config::Log::format>(),
     "How a line is written: \"logfmt\", which is key=value, or \"json\", one object a line whose values are all "
     "strings.",
     0,
     0,
     {},
     "logfmt|json"},

    {"metrics.address", Kind::text, at<&Config::metrics, &Metrics::address>(),
     "The address where each daemon tells of itself by HTTP: /metrics for Prometheus, /healthz for whoever watches "
     "over it. One that others can reach needs metrics.networks.",
     1, 64},
    {"metrics.mta_port", Kind::port, at<&Config::metrics, &Metrics::mta_port>(), "The port of mta for it; 0: none."},
    {"metrics.imapd_port", Kind::port, at<&Config::metrics, &Metrics::imapd_port>(),
     "The port of imapd for it; 0: none."},
    {"metrics.networks", Kind::text_list, at<&Config::metrics, &Metrics::networks>(),
     "Networks that may ask, besides this machine itself, for instance [\"192.0.2.0/24\"]. What is told has domains "
     "that "
     "mail waits for in it, and there is no password."},

    {"smtp.address", Kind::text, at<&Config::smtp, &Smtp::address>(),
     "The address to take mail from other servers on; \"::\" is every address, IPv4 too.", 1, 64},
    {"smtp.port", Kind::port, at<&Config::smtp, &Smtp::port>(), "The port for it; 0 turns it off."},
    {"smtp.max_message_size", Kind::size, at<&Config::smtp, &Smtp::max_message_size>(),
     "The largest message that is taken, in octets; announced as SIZE.", 64 << 10, kOctetsKept},
    {"smtp.max_recipients", Kind::number, at<&Config::smtp, &Smtp::max_recipients>(),
     "Recipients of one message; further ones are asked to be sent again (RFC 5321 wants 100 at least).", 100, 100'000},
    {"smtp.max_line", Kind::size, at<&Config::smtp, &Smtp::max_line>(),
     "The longest line within a message, CRLF included; RFC 5321 promises 1000 octets, senders do not keep to it.",
     1'000, 1 << 20},
    {"smtp.max_command_line", Kind::size, at<&Config::smtp, &Smtp::max_command_line>(),
     "The longest command line, CRLF included.", 512, 64 << 10},
    {"smtp.max_errors", Kind::number, at<&Config::smtp, &Smtp::max_errors>(),
     "Refused commands after which a session is ended.", 1, 10'000},
    {"smtp.max_commands", Kind::number, at<&Config::smtp, &Smtp::max_commands>(),
     "Commands since the last message (NOOP, RSET, HELP and the like) after which a session is ended.", 10, 1'000'000},
    {"smtp.max_hops", Kind::number, at<&Config::smtp, &Smtp::max_hops>(),
     "Received fields above which a message is taken to be in a loop and refused.", 10, 1'000},
    {"smtp.max_messages", Kind::number, at<&Config::smtp, &Smtp::max_messages>(), "Messages in one connection.", 1,
     1'000'000},
    {"smtp.command_timeout", Kind::duration, at<&Config::smtp, &Smtp::command_timeout>(),
     "How long a session waits for the next command.", 1, 86'400},
    {"smtp.data_timeout", Kind::duration, at<&Config::smtp, &Smtp::data_timeout>(),
     "How long a session waits for the next piece of a message.", 1, 86'400},
    {"smtp.greeting_delay", Kind::milliseconds, at<&Config::smtp, &Smtp::greeting_delay>(),
     "How long the greeting on the SMTP port is held back to see who talks first, which only a bad sender does; 0 "
     "looks "
     "once, without waiting.",
     0, 60'000},
    {"smtp.error_delay", Kind::milliseconds, at<&Config::smtp, &Smtp::error_delay>(),
     "How long each further answer is held back in a session that got five refusals since its last message (a tarpit); "
     "0: "
     "not at all.",
     0, 60'000},
    {"smtp.max_connections", Kind::number, at<&Config::smtp, &Smtp::max_connections>(),
     "Connections to mta at a time, over all its ports.", 1, 1'000'000},
    {"smtp.max_connections_per_address", Kind::number, at<&Config::smtp, &Smtp::max_connections_per_address>(),
     "Connections to mta at a time from one address (of IPv6: from one /64 network).", 1, 1'000'000},
    {"smtp.trusted_networks", Kind::text_list, at<&Config::smtp, &Smtp::trusted_networks>(),
     "Networks whose clients may send to anywhere without a password, for instance [\"192.0.2.0/24\"]. Nobody else's "
     "mail "
     "leaves this server without one."},

    {"submission.address", Kind::text, at<&Config::submission, &Listener::address>(),
     "The address to take mail from users' mail programs on, with STARTTLS.", 1, 64},
    {"submission.port", Kind::port, at<&Config::submission, &Listener::port>(), "The port for it; 0 turns it off."},
    {"submissions.address", Kind::text, at<&Config::submissions, &Listener::address>(),
     "The address to take mail from users' mail programs on, with TLS from the first octet.", 1, 64},
    {"submissions.port", Kind::port, at<&Config::submissions, &Listener::port>(), "The port for it; 0 turns it off."},

    {"imap.address", Kind::text, at<&Config::imap, &Imap::address>(),
     "The address to serve mail programs on, with STARTTLS.", 1, 64},
    {"imap.port", Kind::port, at<&Config::imap, &Imap::port>(), "The port for it; 0 turns it off."},
    {"imap.max_connections", Kind::number, at<&Config::imap, &Imap::max_connections>(),
     "Connections to imapd at a time, over all its ports.", 1, 1'000'000},
    {"imap.max_connections_per_address", Kind::number, at<&Config::imap, &Imap::max_connections_per_address>(),
     "Connections to imapd at a time from one address (of IPv6: from one /64 network).", 1, 1'000'000},
    {"imap.max_connections_per_user", Kind::number, at<&Config::imap, &Imap::max_connections_per_user>(),
     "Connections at a time of one account; a mail program opens about one for each folder that it watches.", 1,
     1'000'000},
    {"imap.max_append_size", Kind::size, at<&Config::imap, &Imap::max_append_size>(),
     "The largest message that APPEND takes, in octets; announced as APPENDLIMIT.", 64 << 10, kOctetsKept},
    {"imap.message_limit", Kind::number, at<&Config::imap, &Imap::message_limit>(),
     "Messages that one FETCH, STORE, SEARCH, COPY, MOVE, APPEND or UID EXPUNGE may mean, announced as MESSAGELIMIT "
     "(RFC "
     "9738, which wants 1000 at least); 0 for any number.",
     0, 4'294'967'295},
    {"imap.save_limit", Kind::number, at<&Config::imap, &Imap::save_limit>(),
     "Messages that one COPY or APPEND may bring, announced as SAVELIMIT where there is no message_limit; 0 for any "
     "number.",
     0, 4'294'967'295},
    {"imap.url_hosts", Kind::text_list, at<&Config::imap, &Imap::url_hosts>(),
     "Further host names of this server in IMAP URLs (GENURLAUTH, URLFETCH, BURL), for instance "
     "[\"imap.example.org\"]; "
     "server.hostname is one always."},
    {"imap.idle_timeout", Kind::duration, at<&Config::imap, &Imap::idle_timeout>(),
     "How long a session that logged in may be silent; RFC 9051 wants 30 minutes at least.", 1, 7 * 86'400},
    {"imap.login_timeout", Kind::duration, at<&Config::imap, &Imap::login_timeout>(),
     "How long a session may take to log in.", 1, 3'600},
    {"imaps.address", Kind::text, at<&Config::imaps, &Listener::address>(),
     "The address to serve mail programs on, with TLS from the first octet.", 1, 64},
    {"imaps.port", Kind::port, at<&Config::imaps, &Listener::port>(), "The port for it; 0 turns it off."},

    {"tls.certificate", Kind::text, at<&Config::tls, &Config::Tls::certificate>(),
     "A PEM file: the certificate of server.hostname, then those that lead to its authority. A new file is taken up by "
     "itself within half a minute.",
     0, 4096, "STATE/tls/certificate.pem, made self-signed when it is missing"},
    {"tls.key", Kind::text, at<&Config::tls, &Config::Tls::key>(), "A PEM file: the key of that certificate.", 0, 4096,
     "STATE/tls/key.pem"},
    {"tls.more_certificates", Kind::text_list, at<&Config::tls, &Config::Tls::more_certificates>(),
     "Further certificates, each with its key as \"certificate.pem key.pem\" (one name where both are in one file): "
     "for "
     "other host names, of which clients say which one they mean (SNI), or for the same with a key of the other kind, "
     "RSA beside ECDSA. For which names a certificate is good it says itself."},
    {"tls.client_ca", Kind::text, at<&Config::tls, &Config::Tls::client_ca>(),
     "A PEM file: the authorities by whose certificates clients may log in without a password (AUTH=EXTERNAL), on the "
     "submission and IMAP ports. The certificate names the account by a mail address among its alternative names. "
     "Empty: no client is asked for a certificate.",
     0, 4096},

    {"login.default_domain", Kind::text, at<&Config::login, &Config::Login::default_domain>(),
     "The domain of users who log in without one; empty: whole addresses only.", 0, 255},
    {"login.max_failures", Kind::number, at<&Config::login, &Login::max_failures>(),
     "Failed logins of one address (of IPv6: of one /64 network) within login.failure_window, over both daemons, after "
     "which it is banned; 0: any number. `mailctl ban` shows and lifts bans.",
     0, 1'000'000},
    {"login.max_failures_per_account", Kind::number, at<&Config::login, &Login::max_failures_per_account>(),
     "Failed logins to one account, from all addresses together, after which only addresses that have logged in to it "
     "in "
     "the last two months may try; 0: any number.",
     0, 1'000'000},
    {"login.failure_window", Kind::duration, at<&Config::login, &Login::failure_window>(),
     "The time within which failed logins are counted.", 1, 86'400},
    {"login.ban", Kind::duration, at<&Config::login, &Login::ban>(),
     "How long the first ban lasts; each further one is twice as long, at most a day.", 1, 86'400},
    {"login.pam_service", Kind::text, at<&Config::login, &Login::pam_service>(),
     "The service of PAM (a file in /etc/pam.d) that checks the passwords of accounts made with `mailctl account add "
     "--system`; empty: those cannot log in. The daemons must be started by root for that.",
     0, 64},
    {"address.separators", Kind::text, at<&Config::address, &Config::Address::separators>(),
     "Characters, each of which begins a detail in a local part: with \"+\", alice+shop@example.org is "
     "alice@example.org. "
     "Empty: none.",
     0, 8},

    {"queue.retry", Kind::duration_list, at<&Config::queue, &Queue::retry>(),
     "How long to wait before each further attempt to deliver; the last one repeats until queue.lifetime ends.", 1,
     kYear},
    {"queue.lifetime", Kind::duration, at<&Config::queue, &Queue::lifetime>(),
     "How long to try before a message goes back to its sender.", 1, kYear},
    {"queue.delay_warning", Kind::duration, at<&Config::queue, &Queue::delay_warning>(),
     "After how long the sender is told that a message is still waiting; 0: never.", 0, kYear},
    {"queue.history", Kind::duration, at<&Config::queue, &Queue::history>(),
     "How long `mailctl trace` knows what became of a message, from when it was accepted; about 300 octets a message "
     "in "
     "queue.db.",
     0, 10 * kYear},
    {"queue.deliverers", Kind::number, at<&Config::queue, &Queue::deliverers>(),
     "Deliveries to mailboxes that run side by side.", 1, 64},

    {"audit.interval", Kind::duration, at<&Config::audit, &Audit::interval>(),
     "How often mta compares the ledger, the queue and the mailboxes with each other, a little every second; what does "
     "not add up is logged as audit_failed, and `mailctl audit` shows it. 0: never.",
     0, kYear},

    {"system.root", Kind::text, at<&Config::system, &System::root>(),
     "The address that gets the mail of root, and of those users of this machine whom no account or alias of the first "
     "domain is named after; empty: the postmaster.",
     0, 255},
    {"system.trusted_users", Kind::text_list, at<&Config::system, &System::trusted_users>(),
     "Users of this machine who may name any sender with `sendmail -f`, for instance [\"www-data\"]; root and "
     "server.user "
     "may always. Others' mail is sent as user@hostname."},

    {"relay.port", Kind::port, at<&Config::relay, &Relay::port>(), "The port of other servers.", 1},
    {"relay.https_port", Kind::port, at<&Config::relay, &Relay::https_port>(),
     "The port of the web servers that other domains' MTA-STS policies are fetched from.", 1},
    {"relay.connect_timeout", Kind::duration, at<&Config::relay, &Relay::connect_timeout>(),
     "How long to wait for another server to take a connection.", 1, 600},
    {"relay.command_timeout", Kind::duration, at<&Config::relay, &Relay::command_timeout>(),
     "How long to wait for another server's reply.", 1, 3'600},
    {"relay.idle_timeout", Kind::duration, at<&Config::relay, &Relay::idle_timeout>(),
     "How long a connection to another server is kept for the next message.", 0, 300},
    {"relay.max_connections", Kind::number, at<&Config::relay, &Relay::max_connections>(),
     "Connections to other servers at a time.", 1, 100'000},
    {"relay.max_connections_per_destination", Kind::number,
     at<&Config::relay, &Relay::max_connections_per_destination>(), "Connections to one other server at a time.", 1,
     10'000},
    {"relay.max_messages_per_connection", Kind::number, at<&Config::relay, &Relay::max_messages_per_connection>(),
     "Messages over one connection to another server.", 1, 1'000'000},
    {"relay.smart_host", Kind::text, at<&Config::relay, &Relay::smart_host>(),
     "The server that takes all mail for elsewhere that has no route of its own, as host:port, or smtps:host:port for "
     "TLS from "
     "the first octet; empty: mail goes where DNS says.",
     0, 512},
    {"relay.smart_host_user", Kind::text, at<&Config::relay, &Relay::smart_host_user>(),
     "Who logs in to the smart host; empty: nobody needs to.", 0, 512},
    {"relay.smart_host_password_file", Kind::text, at<&Config::relay, &Relay::smart_host_password_file>(),
     "A file, readable for the user of mta alone, whose first line is the password for the smart host."},
    {"relay.smart_host_tls", Kind::text, at<&Config::relay, &Relay::smart_host_tls>(),
     "What the connection to the smart host must be: \"opportunistic\" (TLS where it is offered), \"encrypted\" (with "
     "any "
     "certificate) or \"verified\" (with one of its name from a known authority, or one that DANE vouches for).",
     0, 32, "verified with a user, opportunistic without"},

    {"forward.srs",
     Kind::choice,
     at<&Config::forward, &Forward::srs>(),
     "Mail that an alias leads elsewhere, from a sender elsewhere: \"on\" sends it in the name of an address at the "
     "alias's own domain (SRS), so that SPF holds, and passes reports to that address on to the sender; \"off\" leaves "
     "the sender as it is, which servers that go by SPF refuse.",
     0,
     0,
     {},
     "off|on"},

    {"mta_sts.address", Kind::text, at<&Config::mta_sts, &MtaSts::address>(),
     "The address to serve this server's own MTA-STS policy on, for each of its domains at https://mta-sts.DOMAIN.", 1,
     64},
    {"mta_sts.port", Kind::port, at<&Config::mta_sts, &MtaSts::port>(),
     "The port for it; others ask at 443. 0 turns it off."},
    {"mta_sts.mode",
     Kind::choice,
     at<&Config::mta_sts, &MtaSts::mode>(),
     "What the policy asks of others: \"testing\" to report what would fail, \"enforce\" to send nothing where this "
     "server's certificate is not good, \"none\" to forget an earlier policy.",
     0,
     0,
     {},
     "none|testing|enforce"},
    {"mta_sts.hosts", Kind::text_list, at<&Config::mta_sts, &MtaSts::hosts>(),
     "The mail hosts that the policy names, all that stand in the domains' MX records; empty: server.hostname."},
    {"mta_sts.max_age", Kind::duration, at<&Config::mta_sts, &MtaSts::max_age>(), "How long others keep the policy.",
     86'400, kYear - 86'400},

    {"reports.tls",
     Kind::choice,
     at<&Config::reports, &Reports::tls>(),
     "Reports on TLS to domains that ask for them (TLS-RPT): \"on\" sends one for each day with mail to them, \"off\" "
     "none.",
     0,
     0,
     {},
     "on|off"},
    {"reports.dmarc",
     Kind::choice,
     at<&Config::reports, &Reports::dmarc>(),
     "Aggregate reports of DMARC to domains that ask for them: \"on\" sends one for each day with mail in their name, "
     "\"off\" none and counts nothing. Whoever forges a domain then makes this server write to whom that domain names.",
     0,
     0,
     {},
     "on|off"},
    {"reports.from", Kind::text, at<&Config::reports, &Reports::from>(),
     "The sender of reports, an address of a domain of this server; a local part alone is one of the first domain.", 1,
     255},

    {"checks.spf",
     Kind::choice,
     at<&Config::checks, &Checks::spf>(),
     "SPF for mail from other servers: \"note\" writes what was found into Authentication-Results, \"reject\" refuses "
     "mail whose sender's domain says that it does not come from that address, \"off\" does nothing.",
     0,
     0,
     {},
     "off|note|reject"},
    {"checks.dkim",
     Kind::choice,
     at<&Config::checks, &Checks::dkim>(),
     "DKIM signatures of mail from other servers: \"note\" verifies them and writes what was found, \"off\" does "
     "nothing.",
     0,
     0,
     {},
     "off|note"},
    {"checks.dmarc",
     Kind::choice,
     at<&Config::checks, &Checks::dmarc>(),
     "DMARC for mail from other servers: \"enforce\" refuses what the domain in From asks to be refused, \"note\" only "
     "writes what was found, \"off\" does nothing. It needs what SPF and DKIM find, and looks even where those are "
     "off.",
     0,
     0,
     {},
     "off|note|enforce"},
    {"checks.reverse_dns",
     Kind::choice,
     at<&Config::checks, &Checks::reverse_dns>(),
     "The name that DNS has for the address of another server, confirmed by looking it up again: \"note\" writes it "
     "into "
     "Received and Authentication-Results, \"reject\" refuses mail of servers without one, \"off\" does nothing. "
     "Mail to postmaster is always taken.",
     0,
     0,
     {},
     "off|note|reject"},
    {"checks.helo",
     Kind::choice,
     at<&Config::checks, &Checks::helo>(),
     "The name that another server gives in HELO, which is not to be ours and not half a name: \"note\" writes what is "
     "wrong "
     "into Authentication-Results, \"reject\" refuses its mail, \"off\" does nothing.",
     0,
     0,
     {},
     "off|note|reject"},
    {"checks.timeout", Kind::duration, at<&Config::checks, &Checks::timeout>(),
     "How long the checks of one message may wait for DNS; what is not known by then counts as a temporary error.", 1,
     60},

    {"dkim.rotate", Kind::duration, +[](Config& config) -> auto& { return config.dkim.rotate; },
     "How long a DKIM key signs, for instance \"90d\". A third of that time before it is over, two weeks at most, mta "
     "makes "
     "the key that follows; it signs when DNS has its record, which `mailctl dns` shows. 0: new keys are made by "
     "`mailctl "
     "dkim rotate` alone.",
     0, kYear},

    {"arc.trusted_sealers", Kind::text_list, +[](Config& config) -> auto& { return config.arc.trusted_sealers; },
     "Domains of mailing lists and forwarders whose word counts (ARC): where a chain of seals holds, one of these "
     "domains "
     "sealed it last and recorded that the message passed DMARC when it came there, the message is taken though DMARC "
     "fails here."},

    {"dnsbl.zones", Kind::text_list, at<&Config::dnsbl, &Dnsbl::zones>(),
     "Lists of addresses that send spam, asked by DNS about each other server: [\"bl.example.org\", "
     "\"list.example.net=127.0.0.2 127.0.0.4/31\"], with the answers that mean yes; without any, those from 127.0.0.2 "
     "to 127.0.1.255. Read a list's terms before you use it."},
    {"dnsbl.action",
     Kind::choice,
     at<&Config::dnsbl, &Dnsbl::action>(),
     "What becomes of mail from a listed address: \"reject\" refuses it, but to postmaster, \"junk\" puts it into the "
     "Junk mailbox, \"note\" only writes it into Authentication-Results.",
     0,
     0,
     {},
     "note|junk|reject"},
    {"dnsbl.threshold", Kind::number, at<&Config::dnsbl, &Dnsbl::threshold>(),
     "How many of the lists must have the address for that.", 1, 20},
    {"dnsbl.allow", Kind::text_list, at<&Config::dnsbl, &Dnsbl::allow>(),
     "Domains whose servers are let in whatever the lists say; it is the confirmed name of the address that counts, so "
     "checks.reverse_dns must not be off."},

    {"greylist.enabled",
     Kind::choice,
     at<&Config::greylist, &Greylist::enabled>(),
     "Whether who writes to somebody for the first time is asked to come again a little later. It keeps some spam away "
     "and holds up the first mail of everybody.",
     0,
     0,
     {},
     "off|on"},
    {"greylist.delay", Kind::duration, at<&Config::greylist, &Greylist::delay>(),
     "After how long a second attempt is taken.", 1, 86'400},
    {"greylist.window", Kind::duration, at<&Config::greylist, &Greylist::window>(), "Within which it has to come.", 60,
     kYear},
    {"greylist.memory", Kind::duration, at<&Config::greylist, &Greylist::memory>(),
     "How long those who came again are known, from their last mail on.", 60, kYear},

    {"rates.account", Kind::text_list, at<&Config::rates, &Rates::account>(),
     "To how many recipients on other servers an account may send, as a stolen password would: [\"2000/1h\", "
     "\"10000/1d\"]; []: to any number. What was used comes back evenly. `mailctl limit` shows and lifts it."},
    {"rates.address", Kind::text_list, at<&Config::rates, &Rates::address>(),
     "How many messages another server may send from one address (of IPv6: from one /64 network)."},
    {"rates.network", Kind::text_list, at<&Config::rates, &Rates::network>(),
     "The same from one network: /24 of IPv4, /48 of IPv6."},
    {"rates.recipient", Kind::text_list, at<&Config::rates, &Rates::recipient>(),
     "How many messages from other servers an address here takes."},

    {"proxy.networks", Kind::text_list, +[](Config& config) -> auto& { return config.proxy.networks; },
     "Load balancers in front of mta and imapd, for instance [\"192.0.2.10\"]. Every connection from them must begin "
     "with "
     "the PROXY protocol (version 1 or 2), which says who the client is; from others it is an error."},

    {"milter.list", Kind::text_list, at<&Config::milter, &Milter::list>(),
     "Filters that look at every message before it is taken, in this order, by the milter protocol: "
     "[\"inet:127.0.0.1:11332 name=rspamd mail=incoming\", \"unix:/run/opendkim/opendkim.sock on_failure=accept\"]. "
     "mail=incoming or mail=submitted limits a filter to mail from other servers or from users; on_failure=tempfail, "
     "accept or reject wins over milter.on_failure."},
    {"milter.on_failure",
     Kind::choice,
     at<&Config::milter, &Milter::on_failure>(),
     "What becomes of mail while a filter does not work: \"tempfail\" asks the sender to come again, \"accept\" takes "
     "it "
     "unfiltered, \"reject\" refuses it.",
     0,
     0,
     {},
     "tempfail|accept|reject"},
    {"milter.connect_timeout", Kind::duration, at<&Config::milter, &Milter::connect_timeout>(),
     "How long a filter may take to be connected to and to negotiate.", 1, 600},
    {"milter.command_timeout", Kind::duration, at<&Config::milter, &Milter::command_timeout>(),
     "How long a filter may take for one step of the envelope.", 1, 3'600},
    {"milter.content_timeout", Kind::duration, at<&Config::milter, &Milter::content_timeout>(),
     "How long a filter may be silent while it looks at the message itself.", 1, 3'600},

    {"dns.server", Kind::text, at<&Config::dns, &Config::Dns::server>(),
     "The name server to ask, as address:port, for instance \"127.0.0.53:53\".", 0, 128, "those of /etc/resolv.conf"},
    {"dns.trust_anchor", Kind::text, at<&Config::dns, &Config::Dns::trust_anchor>(),
     "A file with the DNSSEC keys that answers are validated by, or \"none\". With a file that is named here, names "
     "that "
     "cannot be validated are not used.",
     0, 4096, "/usr/share/dns/root.key where it is there and dns.server is not set"},

    {"store.kept_handles", Kind::number, at<&Config::store, &Store::kept_handles>(),
     "Account files that each daemon keeps open, about 140 KiB each.", 0, 1'000'000},
    {"store.undelete", Kind::duration, at<&Config::store, &Store::undelete>(),
     "How long a message that was expunged, and a mailbox that was deleted, can be restored (`mailctl restore`); 0: "
     "until "
     "the next cleaning. What is kept counts for no quota, takes at most as much as the quota beside it, and is kept "
     "for "
     "a day only while less than a twentieth of the disk is free.",
     0, 10 * kYear},
    {"store.quota", Kind::size, at<&Config::store, &Store::quota>(),
     "The most that a new account may hold; 0: as much as the disk. `mailctl quota set` changes it for one account."},
    {"store.max_messages", Kind::number, at<&Config::store, &Store::max_messages>(),
     "The most messages that an account may hold; 0: any number. Mail above it is refused, and APPEND and COPY fail."},
    {"store.expunged_folder", Kind::text, at<&Config::store, &Store::expunged_folder>(),
     "A read-only mailbox, for instance \"Recently Deleted\", in which every user finds what was expunged and moves it "
     "back from, as long as it is kept; empty: there is none.",
     0, 200},
    {"store.search_index",
     Kind::choice,
     at<&Config::store, &Store::search_index>(),
     "Whether imapd keeps an index for SEARCH in each account that is logged in to; docs/imap.md says what it costs. "
     "\"off\" removes it, and searches read every message.",
     0,
     0,
     {},
     "off|on"},

    {"routes", Kind::table, +[](Config& config) -> auto& { return config.routes; },
     "Domains whose mail goes to a given server instead of where DNS says, for instance \"example.net\" = "
     "\"mx.internal:25\"; \"*\" stands for all others. smtps:host:port has TLS from the first octet; lmtp:host:port "
     "and "
     "lmtp:/path/of/a/socket speak LMTP. \"mx.internal:25 tls=verified\" says how the connection must be protected, in "
     "the words of relay.smart_host_tls; opportunistic unless said."},
    {"limits", Kind::table, +[](Config& config) -> auto& { return config.limits; },
     "How fast mail may go to a domain, or to a mail host and those within that domain, for instance \"example.net\" = "
     "\"connections=4 messages_per_connection=20 messages_per_minute=300\"; each of the three may be left out."},
});

/// Levenshtein distance.
size_t distance(std::string_view a, std::string_view b) {
  std::vector<size_t> row(b.size() + 1);
  for (size_t j = 0; j <= b.size(); ++j) row[j] = j;
  for (size_t i = 1; i <= a.size(); ++i) {
    size_t diagonal = row[0];
    row[0] = i;
    for (size_t j = 1; j <= b.size(); ++j) {
      const size_t replaced = diagonal + (to_lower(a[i - 1]) == to_lower(b[j - 1]) ? 0 : 1);
      diagonal = row[j];
      row[j] = std::min({replaced, row[j] + 1, row[j - 1] + 1});
    }
  }
  return row.back();
}

}  // namespace

std::span<const Key> keys() {
  return kKeys;
}

const Key* find_key(std::string_view name) {
  auto found = std::find_if(kKeys.begin(), kKeys.end(), [&](const Key& key) { return key.name == name; });
  return found == kKeys.end() ? nullptr : &*found;
}

std::string_view nearest_key(std::string_view name) {
  constexpr size_t kMaxCompared = 64;
  if (name.size() > kMaxCompared) return {};
  std::string_view best;
  size_t least = std::max<size_t>(2, name.size() / 3) + 1;
  for (const Key& key : kKeys) {
    size_t d = distance(name, key.name);
    // The right word in the wrong section, or without one, is a likely slip as well.
    std::string_view word = key.name.substr(key.name.find('.') + 1);
    if (word == name.substr(name.rfind('.') + 1)) d = std::min<size_t>(d, 2);
    if (d < least) {
      least = d;
      best = key.name;
    }
  }
  return best;
}

std::string environment_name(const Key& key) {
  std::string name = "POSTRIDER_" + upper(key.name);
  std::replace(name.begin(), name.end(), '.', '_');
  return name;
}

}  // namespace postrider::config
