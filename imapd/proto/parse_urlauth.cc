// GENURLAUTH, URLFETCH and RESETKEY (RFC 4467 9).
#include "imapd/proto/limits.h"
#include "imapd/proto/parser.h"

namespace postrider::imap {

// genurlauth = "GENURLAUTH" 1*(SP url-rump SP mechanism)
bool parse_gen_urlauth(Cursor& cursor, std::vector<UrlRequest>& out) {
  do {
    if (out.size() == kMaxUrls) return cursor.fail("One GENURLAUTH takes at most 100 URLs.");
    UrlRequest& request = out.emplace_back();
    if (!cursor.space() || !cursor.astring(request.rump) || !cursor.space() || !cursor.word(request.mechanism))
      return false;
  } while (!cursor.at_end());
  return true;
}

// urlfetch = "URLFETCH" 1*(SP url-full)
bool parse_url_fetch(Cursor& cursor, std::vector<std::string>& out) {
  do {
    if (out.size() == kMaxUrls) return cursor.fail("One URLFETCH takes at most 100 URLs.");
    if (!cursor.space() || !cursor.astring(out.emplace_back())) return false;
  } while (!cursor.at_end());
  return true;
}

// resetkey = "RESETKEY" [SP mailbox *(SP mechanism)]
bool parse_reset_key(Cursor& cursor, ResetKeyCommand& out) {
  if (cursor.at_end()) return true;
  if (!cursor.space() || !cursor.mailbox(out.mailbox.emplace())) return false;
  while (cursor.skip(' ')) {
    if (out.mechanisms.size() == kMaxUrls) return cursor.fail("These are too many mechanisms.");
    if (!cursor.word(out.mechanisms.emplace_back())) return false;
  }
  return cursor.end();
}

}  // namespace postrider::imap
