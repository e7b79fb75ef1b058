// The commands by noun; each function adds its own to the command line.
#pragma once

#include <CLI/CLI.hpp>
#include <string>

#include "common/sasl/password.h"
#include "mailctl/context.h"

namespace postrider::mailctl {

void add_domain_commands(CLI::App& app, Context& context);
void add_account_commands(CLI::App& app, Context& context);
void add_app_password_commands(CLI::App& account, Context& context);
void add_alias_commands(CLI::App& app, Context& context);
void add_rights_commands(CLI::App& app, Context& context);
void add_password_command(CLI::App& app, Context& context);
void add_quota_commands(CLI::App& app, Context& context);
void add_queue_commands(CLI::App& app, Context& context);
void add_queue_changes(CLI::App& queue, Context& context);
void add_backup_command(CLI::App& app, Context& context);
void add_restore_command(CLI::App& app, Context& context);
void add_recover_command(CLI::App& app, Context& context);
void add_downgrade_command(CLI::App& app, Context& context);
void add_transfer_commands(CLI::App& app, Context& context);
void add_trace_command(CLI::App& app, Context& context);
void add_audit_command(CLI::App& app, Context& context);
void add_config_commands(CLI::App& app, Context& context);
void add_dkim_commands(CLI::App& app, Context& context);
void add_dns_command(CLI::App& app, Context& context);
void add_report_commands(CLI::App& app, Context& context);
void add_ban_commands(CLI::App& app, Context& context);
void add_limit_commands(CLI::App& app, Context& context);
void add_doctor_command(CLI::App& app, Context& context);

/// The long text of --help: what the command does, examples (lines with two blanks before), and what all commands
/// share.
void describe(CLI::App& command, const std::string& description, const std::string& examples);

/// DKIM keys for a domain that has none, which sign at once. domain: A-label.
void make_first_keys(Context& context, const std::string& domain);
void remove_keys(Context& context, const std::string& domain);

struct GivenPassword {
  PasswordRecord record;
  std::string generated;  // empty: it was given, and is not kept
};
/// Reads or makes a password. Throws CommandFailed.
GivenPassword take_password(Context& context, const std::string& whose, bool generate);

}  // namespace postrider::mailctl
