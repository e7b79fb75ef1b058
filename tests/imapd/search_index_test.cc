// SEARCH with the index finds what SEARCH without it finds, whatever is in the messages and whatever is looked for.
#include <gtest/gtest.h>

#include <random>
#include <thread>

#include "common/base/base64.h"
#include "imapd/index_run.h"
#include "imapd/indexer.h"
#include "imapd/search.h"
#include "store/accounts.h"
#include "tests/store/temp_state.h"

namespace postrider::imap {
namespace {

using Kind = SearchKey::Kind;
using namespace std::string_view_literals;

constexpr std::string_view kPieces[] = {
    "lunch", "Straße", "STRASSE", "GROẞ",       "İstanbul", "ısı",       "caf\xc3\xa9", "cafe\xcc\x81",
    "ﬁnd",   "Ⅷ",      "日本語",  "会议",       "Привет",   "ПРИВЕТ",    "שלום",        "👍🏽",
    "a",     "ab",     "x\0y"sv,  "\xff\xfe",   "\xc3",     "=?utf-8?q", "?=",          "\xcc\x81\xcc\xa3",
    "ΣΑΣ",   "σας",    "ς",       "0123456789", "zzzzz",    "ｆｕｌｌ",  "K(Kelvin)",   "\t",
    "  ",    "\r\n",   "--",      ":",          "\"",       "ſ",         "ŉ",           "ΐ"};

/// Messages that nobody would write, and texts to look for in them; the same in each run.
class Corpus {
 public:
  std::string message() {
    std::string text = header("From") + header("Subject") + addresses("To");
    if (!pick(3)) text += addresses("Cc");
    if (pick(3)) text += header("X-Odd") + header("List-Id");
    if (!pick(20)) text += "X-Long: " + std::string(70'000, 'q') + piece() + "\r\n";
    return text + entity(0);
  }
  std::string needle() {
    std::string text = words(1 + pick(2));
    if (pick(2)) text = text.substr(0, 1 + pick(6));
    if (!pick(6)) text = text.substr(std::min<size_t>(text.size(), pick(4)));
    if (!pick(4))
      for (char& c : text) c = static_cast<char>(pick(2) ? std::toupper(static_cast<unsigned char>(c)) : c);
    return text;
  }
  uint32_t pick(uint32_t below) { return static_cast<uint32_t>(random_() % below); }

 private:
  std::string piece() { return std::string(kPieces[pick(std::size(kPieces))]); }
  std::string words(uint32_t count) {
    std::string text;
    for (uint32_t i = 0; i < count; ++i) {
      if (i > 0 && pick(3)) text += ' ';
      text += piece();
    }
    return text;
  }
  std::string header(std::string_view name) {
    std::string value = words(1 + pick(4));
    switch (pick(5)) {
      case 0:
        value = "=?utf-8?B?" + base64_encode(value) + "?= =?iso-8859-1?Q?caf=E9_" + "?=";
        break;
      case 1:
        value = "=?utf-8?B?" + base64_encode(value.substr(0, 2)) + "?= =?utf-8?B?" +
                base64_encode(value.substr(std::min<size_t>(2, value.size()))) + "?=";
        break;
      default:
        std::erase_if(value, [](char c) { return c == '\r' || c == '\n'; });
        break;
    }
    return std::string(name) + ": " + value + (pick(2) ? "\r\n" : "\r\n folded\r\n");
  }
  /// Addresses with whatever may stand between their parts.
  std::string addresses(std::string_view name) {
    constexpr std::string_view kBetween[] = {"", "", " ", "(x)", " (a (b) \\)) ", "\r\n ", "\t"};
    auto between = [&] { return std::string(kBetween[pick(std::size(kBetween))]); };
    std::string value;
    for (uint32_t i = 1 + pick(3); i > 0; --i) {
      std::string word = piece();
      std::erase_if(word, [](char c) { return c == '\r' || c == '\n' || c == '"'; });
      if (pick(2)) value += (pick(2) ? word : "\"" + word + ", x\"") + between();
      value += between() + "<" + (pick(4) ? "" : "@a,@b:") + "lu" + between() + "." + between() + "nch" + between() +
               "@" + between() + "ab.example" + between() + ">" + between() + (i > 1 ? "," : "");
    }
    return std::string(name) + ": " + value + "\r\n";
  }
  std::string entity(int depth) {
    static constexpr std::string_view kCharsets[] = {"utf-8",  "iso-8859-1", "shift_jis", "koi8-r",
                                                     "utf-16", "nonsense",   "us-ascii"};
    switch (depth < 3 ? pick(6) : 5) {
      case 0: {
        std::string text = "Content-Type: multipart/mixed; boundary=b" + std::to_string(depth) + "\r\n\r\n";
        for (uint32_t i = pick(4); i > 0; --i)
          text += "--b" + std::to_string(depth) + "\r\n" + header("X-Part") + entity(depth + 1) + "\r\n";
        return pick(2) ? text : text + "--b" + std::to_string(depth) + "--\r\n";
      }
      case 1:
        return "Content-Type: message/rfc822\r\n\r\n" + header("Subject") + entity(depth + 1);
      case 2:
        return "Content-Type: application/pdf\r\n\r\n" + words(5);
      default:
        break;
    }
    std::string body = words(pick(40));
    if (!pick(10)) body += std::string(65'536 - pick(40), 'w') + words(6);
    std::string text =
        "Content-Type: text/plain; charset=" + std::string(kCharsets[pick(std::size(kCharsets))]) + "\r\n";
    switch (pick(4)) {
      case 0:
        return text + "Content-Transfer-Encoding: base64\r\n\r\n" + base64_encode(body) + "\r\n";
      case 1:
        return text + "Content-Transfer-Encoding: quoted-printable\r\n\r\n" + body + "=E9=C3=A9=\r\n" + words(3);
      default:
        return text + "\r\n" + body;
    }
  }
  std::mt19937 random_{20'270'115};
};

class SearchWithIndex : public testing::Test {
 protected:
  SearchWithIndex() : accounts(state.path(), 4, clock), account(accounts.open(1)) {
    inbox = account->find_mailbox("INBOX")->id;
  }
  void append(std::string_view text) {
    store::Edit edit(*account);
    edit.append(inbox, state.message(text), "Delivered-To: alice@example.test\r\n", {}, 1'000, 0, 0).value();
    edit.commit();
  }
  std::vector<store::Uid> search(const SearchKey& key) {
    View view(*account->snapshot(inbox), {}, true);
    SearchRun run(key, view, {}, 0);
    while (run.step(*account)) {
    }
    std::vector<store::Uid> uids;
    for (const auto& one : run.found()) uids.push_back(one.uid);
    return uids;
  }
  bool indexed() { return store::SearchIndex(*account).candidates("lunch").has_value(); }

  store::TempState state;
  ManualClock clock{1'700'000'000};
  store::Accounts accounts;
  store::Accounts::Lease account;
  store::MailboxId inbox = 0;
  Corpus corpus;
};

SearchKey key_of(Kind kind, std::string value, std::string field = {}) {
  SearchKey key;
  key.kind = kind;
  key.value = std::move(value);
  key.field = std::move(field);
  return key;
}

SearchKey both(Kind kind, SearchKey a, SearchKey b) {
  SearchKey key;
  key.kind = kind;
  key.children.push_back(std::move(a));
  key.children.push_back(std::move(b));
  return key;
}

TEST_F(SearchWithIndex, FindsWhatASearchThatReadsEverythingFinds) {
  for (int i = 0; i < 150; ++i) append(corpus.message());
  std::vector<SearchKey> keys;
  for (int i = 0; i < 100; ++i) {
    SearchKey key;
    switch (corpus.pick(7)) {
      case 0:
        key = key_of(Kind::body, corpus.needle());
        break;
      case 1:
        key = key_of(Kind::header, corpus.needle(), "Subject");
        break;
      case 2:
        key = key_of(Kind::header, corpus.pick(2) ? "" : corpus.needle(), "x-ODD");
        break;
      case 3:
        key = both(Kind::any_of, key_of(Kind::body, corpus.needle()), key_of(Kind::header, corpus.needle(), "From"));
        break;
      case 4:
        key = both(Kind::all_of, key_of(Kind::text, corpus.needle()), key_of(Kind::body, corpus.needle()));
        key.children[1].negated = true;
        break;
      case 5:
        key = key_of(Kind::header, corpus.pick(2) ? "lu.nch@ab.example" : ", x <lu.nch", corpus.pick(2) ? "TO" : "Cc");
        break;
      default:
        key = key_of(Kind::text, corpus.needle());
        break;
    }
    key.negated = corpus.pick(5) == 0;
    keys.push_back(std::move(key));
  }
  std::vector<std::vector<store::Uid>> plain;
  size_t some = 0;
  for (const SearchKey& key : keys) {
    plain.push_back(search(key));
    some += !plain.back().empty() && plain.back().size() < 150 ? 1 : 0;
  }
  EXPECT_GT(some, keys.size() / 3);  // not all or nothing
  store::TrigramSet trigrams;
  ASSERT_TRUE(index_more(*account, trigrams));
  for (size_t i = 0; i < keys.size(); ++i) EXPECT_EQ(search(keys[i]), plain[i]) << keys[i].value << " in a part";
  while (index_more(*account, trigrams)) {
  }
  ASSERT_TRUE(indexed());
  for (size_t i = 0; i < keys.size(); ++i) EXPECT_EQ(search(keys[i]), plain[i]) << keys[i].value;
}

TEST_F(SearchWithIndex, SeesWhatCameAfterIt) {
  for (int i = 0; i < 100; ++i) append(store::simple_message("quokka " + std::to_string(i)));
  store::TrigramSet trigrams;
  while (index_more(*account, trigrams)) {
  }
  append(store::simple_message("the last quokka"));
  EXPECT_EQ(search(key_of(Kind::text, "last quokka")), std::vector<store::Uid>{101});
  EXPECT_EQ(search(key_of(Kind::header, "QUOKKA", "Subject")).size(), 101U);
}

TEST_F(SearchWithIndex, OneCharacterThatIsThreeOctetsIsEnough) {
  for (int i = 0; i < 100; ++i) append(store::simple_message(i == 50 ? "会议" : "meeting"));
  store::TrigramSet trigrams;
  while (index_more(*account, trigrams)) {
  }
  EXPECT_EQ(store::SearchIndex(*account).candidates("议")->messages.size(), 1U);
  EXPECT_EQ(search(key_of(Kind::header, "议", "Subject")), std::vector<store::Uid>{51});
}

TEST_F(SearchWithIndex, IsKeptInTheBackgroundOrRemoved) {
  append(store::simple_message("lunch"));
  std::atomic<bool> wanted = true;
  Indexer indexer(accounts, [&] { return wanted.load(); },
                  {std::chrono::milliseconds(1), std::chrono::milliseconds(1)});
  auto becomes = [&](bool there) {
    const auto patience = std::chrono::steady_clock::now() + std::chrono::seconds(20);
    while (indexed() != there && std::chrono::steady_clock::now() < patience) std::this_thread::yield();
    return indexed() == there;
  };
  indexer.changed(1);
  EXPECT_TRUE(becomes(true));
  wanted = false;
  indexer.changed(1);
  EXPECT_TRUE(becomes(false));
}

}  // namespace
}  // namespace postrider::imap
