#include <unicode/usprep.h>
#include <unicode/ustring.h>

#include <algorithm>
#include <memory>
#include <vector>

#include "common/base/ascii.h"
#include "common/sasl/password.h"

namespace postrider::sasl {
namespace {

constexpr const char* kRefused =
    "the text has characters that SASLprep (RFC 4013) does not allow; use letters, digits, "
    "punctuation and spaces";

const UStringPrepProfile* profile() {
  static const std::unique_ptr<UStringPrepProfile, void (*)(UStringPrepProfile*)> opened = [] {
    UErrorCode error = U_ZERO_ERROR;
    UStringPrepProfile* made = usprep_openByType(USPREP_RFC4013_SASLPREP, &error);
    return std::unique_ptr<UStringPrepProfile, void (*)(UStringPrepProfile*)>(U_SUCCESS(error) ? made : nullptr,
                                                                              [](auto* p) { usprep_close(p); });
  }();
  return opened.get();
}

}  // namespace

Result<std::string> saslprep(std::string_view text, bool stored) {
  const bool ascii = std::none_of(text.begin(), text.end(), is_8bit);
  if (ascii) {  // prepared as it is, or refused
    if (std::any_of(text.begin(), text.end(), is_ctl)) return failure(kRefused);
    return std::string(text);
  }
  if (profile() == nullptr) return failure("the Unicode data for SASLprep is missing; install the ICU data files");

  UErrorCode error = U_ZERO_ERROR;
  std::vector<UChar> wide(text.size() + 1);
  int32_t length = 0;
  u_strFromUTF8(wide.data(), static_cast<int32_t>(wide.size()), &length, text.data(), static_cast<int32_t>(text.size()),
                &error);
  if (U_FAILURE(error)) return failure("the text is not valid UTF-8");

  // One code point becomes 18 at most in NFKC.
  std::vector<UChar> prepared(static_cast<size_t>(length) * 18 + 1);
  const int32_t size =
      usprep_prepare(profile(), wide.data(), length, prepared.data(), static_cast<int32_t>(prepared.size()),
                     stored ? USPREP_DEFAULT : USPREP_ALLOW_UNASSIGNED, nullptr, &error);
  if (U_FAILURE(error)) return failure(kRefused);

  std::string out(static_cast<size_t>(size) * 3 + 1, '\0');
  int32_t octets = 0;
  u_strToUTF8(out.data(), static_cast<int32_t>(out.size()), &octets, prepared.data(), size, &error);
  if (U_FAILURE(error)) return failure(kRefused);
  out.resize(static_cast<size_t>(octets));
  return out;
}

}  // namespace postrider::sasl
