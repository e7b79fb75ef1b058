// Enhanced status codes (RFC 3463, RFC 2034 and the IANA registry): every one that our replies use, by its meaning.
#pragma once

#include <string_view>

namespace postrider::smtp::status {

using Code = std::string_view;

inline constexpr Code kNone = "";                // EHLO, greeting, 334, 354: no code (RFC 2034 section 4)
inline constexpr Code kOk = "2.0.0";             // other or undefined
inline constexpr Code kSenderOk = "2.1.0";       // other address status
inline constexpr Code kRecipientOk = "2.1.5";    // destination address valid
inline constexpr Code kAuthenticated = "2.7.0";  // security status

inline constexpr Code kNoSuchMailbox = "5.1.1";           // bad destination mailbox address
inline constexpr Code kBadRecipientSyntax = "5.1.3";      // bad destination mailbox address syntax
inline constexpr Code kBadSenderSyntax = "5.1.7";         // bad sender's mailbox address syntax
inline constexpr Code kMailboxFull = "4.2.2";             // mailbox full, now
inline constexpr Code kMailboxTooSmall = "5.2.2";         // mailbox full: this message never fits
inline constexpr Code kSystemTrouble = "4.3.0";           // other mail system status
inline constexpr Code kStorageFull = "4.3.1";             // mail system full
inline constexpr Code kShuttingDown = "4.3.2";            // system not accepting network messages
inline constexpr Code kMessageTooLarge = "5.3.4";         // message too big for system
inline constexpr Code kTimedOut = "4.4.2";                // bad connection
inline constexpr Code kLoop = "5.4.6";                    // routing loop detected
inline constexpr Code kBadSequence = "5.5.1";             // invalid command
inline constexpr Code kSyntax = "5.5.2";                  // syntax error
inline constexpr Code kBadArguments = "5.5.4";            // invalid command arguments
inline constexpr Code kTooManyRecipients = "4.5.3";       // too many recipients
inline constexpr Code kAuthLineTooLong = "5.5.6";         // authentication exchange line is too long
inline constexpr Code kBadContent = "5.6.0";              // other or undefined media error
inline constexpr Code kConversionFailed = "5.6.1";        // media not supported
inline constexpr Code kContentMissing = "5.6.6";          // message content not available (RFC 4468)
inline constexpr Code kNeedsUtf8 = "5.6.7";               // non-ASCII addresses not permitted without SMTPUTF8
inline constexpr Code kPolicyTemporary = "4.7.0";         // security status, for now
inline constexpr Code kFilterTrouble = "4.7.1";           // delivery not authorized, for now
inline constexpr Code kSecurity = "5.7.0";                // other or undefined security status
inline constexpr Code kNotAuthorized = "5.7.1";           // delivery not authorized, message refused
inline constexpr Code kBadCredentials = "5.7.8";          // authentication credentials invalid
inline constexpr Code kTrustNeeded = "5.7.8";             // trust relationship required (RFC 4468)
inline constexpr Code kSpfFailed = "5.7.23";              // SPF validation failed (RFC 7372)
inline constexpr Code kAuthenticationUnknown = "4.7.24";  // SPF validation error; of DNS (RFC 7372)
inline constexpr Code kEncryptionNeeded = "5.7.10";       // encryption needed (RFC 8689)
inline constexpr Code kReverseDnsFailed = "5.7.25";       // reverse DNS validation failed (RFC 7372)
inline constexpr Code kReverseDnsUnknown = "4.7.25";      // the same, of DNS
inline constexpr Code kEncryptionRequired = "5.7.11";     // encryption required for requested authentication mechanism

}  // namespace postrider::smtp::status
