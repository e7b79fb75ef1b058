// What `mailctl restore` is asked for, and its two ways: restore.cc and restore_backup.cc.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "common/net/daemon.h"
#include "mailctl/context.h"

namespace postrider::mailctl {

constexpr size_t kMaxRestored = 10'000;     // messages in one change: nobody waits for all of them
constexpr uint64_t kHeaderRead = 64 << 10;  // octets of a message in which its Subject is looked for

struct RestoreOptions {
  std::string address, folder, to, since, until, subject, message_id;
  bool list = false;
  // Of a backup:
  std::string from, before;
  uint32_t uid = 0;
  bool replace = false, all = false;
};

/// A Message-ID as it is compared: without its angle brackets.
std::string_view bare_message_id(std::string_view id);

/// How long ago, as 2h or 3d, as a time. Throws CommandFailed.
UnixTime ago(const Context& context, const std::string& text, UnixTime otherwise);

/// Holds the place of both daemons: neither runs, nor starts while this is held. Throws CommandFailed.
std::vector<net::PidFile> keep_daemons_out(Context& context);

/// Mail that waited for an account whose file was not there goes on at once.
void deliver_what_waits(Context& context, store::AccountId account);

void restore_from_backup(Context& context, const RestoreOptions& options);

}  // namespace postrider::mailctl
