// The search form of text: the half of charset.h that needs Unicode's tables.
#include <unicode/bytestream.h>
#include <unicode/normalizer2.h>
#include <unicode/stringpiece.h>

#include <algorithm>

#include "common/base/ascii.h"
#include "common/base/utf8.h"
#include "common/mail/charset.h"

namespace postrider {
namespace {

/// Case folding with compatibility composition, then decomposition: both are ICU singletons, null only when its data is
/// missing.
struct Folding {
  const icu::Normalizer2* fold = nullptr;
  const icu::Normalizer2* decompose = nullptr;
};

const Folding& folding() {
  static const Folding instance = [] {
    UErrorCode error = U_ZERO_ERROR;
    Folding made{icu::Normalizer2::getNFKCCasefoldInstance(error), icu::Normalizer2::getNFKDInstance(error)};
    return U_SUCCESS(error) ? made : Folding{};
  }();
  return instance;
}

bool normalize(const icu::Normalizer2* form, std::string_view text, std::string& out) {
  constexpr size_t kMaxIcuString = 1U << 30;  // ICU counts in int32_t
  if (form == nullptr || text.size() > kMaxIcuString) return false;
  UErrorCode error = U_ZERO_ERROR;
  icu::StringByteSink<std::string> sink(&out, static_cast<int32_t>(text.size()));
  form->normalizeUTF8(0, icu::StringPiece(text.data(), static_cast<int32_t>(text.size())), sink, nullptr, error);
  return U_SUCCESS(error);
}

}  // namespace

std::string fold_for_search(std::string_view utf8) {
  if (!has_8bit(utf8)) return lower(utf8);
  if (!is_valid_utf8(utf8)) return fold_for_search(to_utf8(utf8, "utf-8"));
  std::string folded, decomposed;
  if (!normalize(folding().fold, utf8, folded)) return lower(utf8);
  if (!normalize(folding().decompose, folded, decomposed)) return folded;
  return decomposed;
}

}  // namespace postrider
