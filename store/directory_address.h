// What the files of the directory share and nobody else needs.
#pragma once

#include <optional>
#include <string_view>

#include "common/base/result.h"
#include "common/mail/address.h"
#include "common/sasl/password.h"
#include "store/sqlite.h"
#include "store/types.h"

namespace postrider::store {

/// The spelling in which addresses are kept and compared: ASCII of the local part in lower case, the domain as
/// A-labels. The error is a sentence.
Result<Address> canonical_address(std::string_view text);

void store_password(Database& database, AccountId account, const PasswordRecord& password);
std::optional<PasswordRecord> load_password(Database& database, AccountId account);

}  // namespace postrider::store
