// Reads commands: one function a verb, each from behind the verb to the end. False leaves cursor.error() behind.
#pragma once

#include <string>

#include "imapd/proto/command.h"
#include "imapd/proto/cursor.h"
#include "imapd/proto/mailbox_filter.h"

namespace postrider::imap {

/// ESEARCH: a search in several mailboxes.
struct MultiSearchCommand {
  std::vector<MailboxFilter> filters;
  SearchCommand search;
};

enum NotifyEvent : unsigned {
  kMessageNew = 1,
  kMessageExpunge = 2,
  kFlagChange = 4,
  kMailboxName = 8,
  kSubscriptionChange = 16,
  kMailboxMetadataChange = 32,
  kServerMetadataChange = 64,
};

struct NotifyGroup {
  MailboxFilter filter;
  unsigned events = 0;           // NotifyEvent bits
  std::vector<FetchItem> items;  // of MessageNew
};

/// No groups: NONE.
struct NotifyCommand {
  bool status = false;
  bool unknown_event = false;
  std::vector<NotifyGroup> groups;
};

/// "tag SP verb"; the verb in capitals, "UID FETCH" for the UID forms.
bool parse_verb(Cursor& cursor, std::string& tag, std::string& verb);

bool parse_nothing(Cursor& cursor);
bool parse_login(Cursor& cursor, LoginCommand& out);                  // RFC 3501 6.2.3
bool parse_authenticate(Cursor& cursor, AuthenticateCommand& out);    // 6.2.2, RFC 4959
bool parse_enable(Cursor& cursor, EnableCommand& out);                // RFC 5161
bool parse_compress(Cursor& cursor, std::string& algorithm);          // RFC 4978
bool parse_language(Cursor& cursor, std::vector<std::string>& tags);  // RFC 5255 3.2; empty: which are there
bool parse_id(Cursor& cursor, IdCommand& out);                        // RFC 2971
bool parse_select(Cursor& cursor, SelectCommand& out);                // 6.3.1, RFC 4466, RFC 7162
bool parse_mailbox(Cursor& cursor, std::string& out);                 // DELETE, SUBSCRIBE, UNSUBSCRIBE
bool parse_create(Cursor& cursor, CreateCommand& out);                // 6.3.3, RFC 6154
bool parse_rename(Cursor& cursor, RenameCommand& out);                // 6.3.5
bool parse_list(Cursor& cursor, ListCommand& out);                    // 6.3.8, RFC 5258, RFC 5819
bool parse_lsub(Cursor& cursor, ListCommand& out);                    // 6.3.9
bool parse_status(Cursor& cursor, StatusCommand& out);                // 6.3.10, RFC 7162, RFC 8438
bool parse_get_quota(Cursor& cursor, std::string& root);              // RFC 9208 4.1.1
/// SETQUOTA (4.1.3); what it wants to set is read and passed over.
bool parse_set_quota(Cursor& cursor, std::string& root);
bool parse_get_metadata(Cursor& cursor, GetMetadataCommand& out);  // RFC 5464 4.2
bool parse_set_metadata(Cursor& cursor, SetMetadataCommand& out);  // RFC 5464 4.3
/// entries = entry / "(" entry *(SP entry) ")", without repetitions
bool parse_metadata_entries(Cursor& cursor, std::vector<std::string>& out, bool roots = false);
bool parse_set_acl(Cursor& cursor, AclCommand& out);  // RFC 4314 3.1
bool parse_acl(Cursor& cursor, AclCommand& out);      // DELETEACL, LISTRIGHTS
/// APPEND up to and with the mailbox; an AppendReader reads on.
bool parse_append(Cursor& cursor, AppendCommand& out);  // 6.3.11
/// REPLACE likewise (RFC 8508).
bool parse_replace(Cursor& cursor, ReplaceCommand& out);
bool parse_cancel_update(Cursor& cursor, std::vector<std::string>& tags);  // RFC 5267 4.3.3
bool parse_notify(Cursor& cursor, NotifyCommand& out);                     // RFC 5465
/// "(" fetch-att *(SP fetch-att) ")"
bool parse_fetch_items(Cursor& cursor, std::vector<FetchItem>& out);
/// "[" section-spec "]"
bool parse_section(Cursor& cursor, Section& out);
bool parse_gen_urlauth(Cursor& cursor, std::vector<UrlRequest>& out);  // RFC 4467
bool parse_url_fetch(Cursor& cursor, std::vector<std::string>& out);   // RFC 4467
bool parse_reset_key(Cursor& cursor, ResetKeyCommand& out);            // RFC 4467
bool parse_uid_expunge(Cursor& cursor, SequenceSet& out);              // RFC 4315
bool parse_search(Cursor& cursor, SearchCommand& out);                 // 6.4.4, RFC 5032, RFC 7162
/// What stands behind SEARCH and its options: [CHARSET ...] and keys.
bool parse_search_program(Cursor& cursor, SearchCommand& out);
bool parse_uid_batches(Cursor& cursor, UidBatchesCommand& out);
/// ESEARCH (RFC 7377); without filters the selected mailbox is meant.
bool parse_esearch(Cursor& cursor, MultiSearchCommand& out);
bool parse_sort(Cursor& cursor, SortCommand& out);      // RFC 5256, 5267, 5957
bool parse_thread(Cursor& cursor, ThreadCommand& out);  // RFC 5256
bool parse_fetch(Cursor& cursor, FetchCommand& out);    // 6.4.5, RFC 7162
bool parse_store(Cursor& cursor, StoreCommand& out);    // 6.4.6, RFC 7162
bool parse_copy(Cursor& cursor, CopyCommand& out);      // 6.4.7, RFC 6851

}  // namespace postrider::imap
