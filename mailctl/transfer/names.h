// Names of folders and messages in a file system: Maildir++ (Courier, Dovecot) and folders of mbox files. Pure.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "common/base/clock.h"

namespace postrider::mailctl {

constexpr size_t kMaxDiskName = 255;       // octets of a file's name (NAME_MAX)
constexpr size_t kMaxMaildirLetters = 26;  // keywords of a folder: letters a to z

/// A level of a mailbox name as part of a file's name: modified UTF-7 (RFC 3501 5.1.3), and a dot, which parts levels
/// there, as &AC4-.
std::string level_to_disk(std::string_view level);
/// Takes what others write too: UTF-8, and names that are no modified UTF-7. Nothing where the octets are no text.
std::optional<std::string> level_from_disk(std::string_view text);

/// The folder of a mailbox within a Maildir++: empty for INBOX, otherwise ".Level.Level".
std::string maildir_folder(std::string_view mailbox);
/// The mailbox of a folder ".Level.Level". Nothing where the name cannot be read.
std::optional<std::string> maildir_mailbox(std::string_view folder);
/// Level/Level, each as it is on disk; INBOX is INBOX.
std::string mailbox_path(std::string_view mailbox);

/// A message's file in cur or new: "unique:2,FLAGS".
struct MaildirName {
  std::string_view unique;  // what names the message, however its flags change
  uint64_t flags = 0;       // store::Flags' system bits
  bool forwarded = false;   // P
  std::string_view info;    // all letters; small ones are keywords
};
MaildirName parse_maildir_name(std::string_view file);

/// ":2," and the letters in the order of ASCII. keyword_letters: of the message, a to z.
std::string maildir_info(uint64_t flags, std::string keyword_letters);

/// The name of a message that is exported: the same whenever it is. address: the account's.
std::string exported_name(UnixTime date, uint32_t uid_validity, uint32_t uid, std::string_view address);
/// The UID in such a name; nothing where it is another mailbox's, or no name of ours.
std::optional<uint32_t> exported_uid(std::string_view unique, uint32_t uid_validity);

}  // namespace postrider::mailctl
