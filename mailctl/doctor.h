// The checks of `mailctl doctor`. Each adds what it found to a Report: one line a finding, with what to do about it.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "mailctl/context.h"

namespace postrider::mailctl {

enum class Health { fine, warning, problem };

struct Finding {
  Health health;
  std::string subject;  // "certificate"
  std::string message;  // what is so
  std::string advice;   // what to do; empty where all is fine
};

class Report {
 public:
  void fine(std::string subject, std::string message) { add(Health::fine, std::move(subject), std::move(message), {}); }
  void warning(std::string subject, std::string message, std::string advice) {
    add(Health::warning, std::move(subject), std::move(message), std::move(advice));
  }
  void problem(std::string subject, std::string message, std::string advice) {
    add(Health::problem, std::move(subject), std::move(message), std::move(advice));
  }
  const std::vector<Finding>& findings() const { return findings_; }
  size_t count(Health health) const;

 private:
  void add(Health health, std::string subject, std::string message, std::string advice) {
    findings_.push_back({health, std::move(subject), std::move(message), std::move(advice)});
  }
  std::vector<Finding> findings_;
};

/// Prints it, and throws CommandFailed where there is a problem.
void print_report(Context& context, const Report& report);

void check_state_folder(const Config& config, Report& report);
void check_disk(const Config& config, Report& report);
void check_certificate(const Config& config, UnixTime now, Report& report);
/// Domains, accounts, postmasters. Opens the directory.
void check_directory(Context& context, Report& report);
void check_queue(Context& context, Report& report);
/// Which of the daemons run, and what answers on their ports.
void check_daemons(const Config& config, Report& report);
void check_ports(const Config& config, Report& report);
/// Asks DNS, a few seconds at most for each name.
void check_dns(const Config& config, const std::vector<std::string>& domains, UnixTime now, Report& report);

}  // namespace postrider::mailctl
