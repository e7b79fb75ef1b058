// IDLE (RFC 2177): what others do is told the moment it is known.
#include "common/base/ascii.h"
#include "imapd/session.h"

namespace postrider::imap {
namespace {

/// Says idling for as long as it lives, however the wait ends.
class IdleMark {
 public:
  explicit IdleMark(bool& mark) : mark_(mark) { mark_ = true; }
  ~IdleMark() { mark_ = false; }
  IdleMark(const IdleMark&) = delete;
  IdleMark& operator=(const IdleMark&) = delete;

 private:
  bool& mark_;
};

}  // namespace

asio::awaitable<Reply> Session::idle(Cursor& arguments) {
  if (!parse_nothing(arguments)) co_return Reply::refused(arguments);
  IdleMark mark(idling_);
  out_ += "+ Idling.\r\n";
  connection_->set_deadline(config_->imap.idle_timeout);
  connection_->set_busy(false);
  framer_.expect_line();
  bool changed = true;  // something may have happened since the last command
  for (;;) {
    if (std::exchange(changed, false) && (view_ || notify_)) co_await tell_news(true);
    if (state_ == kLogout) co_return Reply::no("The session ends.");
    Framer::Step step = framer_.next(connection_->input());
    connection_->consume(step.consumed);
    if (step.event == Framer::Event::line) break;
    if (step.event != Framer::Event::need_more) co_return Reply::bad("IDLE ends with DONE.");
    co_await send();
    if (co_await connection_->wait_input_or_notify() == net::Connection::Wake::notified) {
      changed = true;
      if (!co_await still_welcome()) co_return Reply::no("The session ends.");
    } else {
      co_await connection_->read_more();
    }
  }
  if (!iequals(framer_.text(), "DONE")) co_return Reply::bad("IDLE ends with DONE.");
  co_return Reply::ok("No longer idling.");
}

}  // namespace postrider::imap
