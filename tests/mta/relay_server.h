// An SMTP server for tests of the relay: says what it is told to, counts, and keeps what it got.
#pragma once

#include <asio.hpp>

#include <atomic>
#include <condition_variable>
#include <functional>
#include <map>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "common/base/ascii.h"

namespace postrider {

class RelayServer {
 public:
  struct Got {
    std::vector<std::string> envelope;  // MAIL and RCPT lines that were accepted
    std::string content;                // dots taken out, without the last line
  };

  RelayServer() : acceptor_(loop_, {asio::ip::address_v4::loopback(), 0}) {
    replies_ = {{"EHLO", "250-server\r\n250-PIPELINING\r\n250-8BITMIME\r\n250 SIZE 1000000"}, {"HELO", "250 server"}};
    thread_ = std::thread([this] { serve(); });
  }
  ~RelayServer() {
    stopping_ = true;
    asio::io_context loop;
    asio::ip::tcp::socket wake(loop);
    std::error_code ignored;
    wake.connect(acceptor_.local_endpoint(), ignored);
    {
      std::lock_guard lock(mutex_);
      for (auto& socket : sockets_) ::shutdown(socket->native_handle(), SHUT_RDWR);
    }
    thread_.join();
    for (std::thread& session : sessions_) session.join();
  }

  uint16_t port() const { return acceptor_.local_endpoint().port(); }
  std::string address() const { return "127.0.0.1:" + std::to_string(port()); }
  /// What is said to lines that begin so (the longest that fits); "" closes the connection.
  void reply(const std::string& line, const std::string& text) {
    std::lock_guard lock(mutex_);
    replies_[line] = text;
  }
  /// The same, the first time only.
  void reply_once(const std::string& line, const std::string& text) {
    std::lock_guard lock(mutex_);
    once_[line] = text;
  }
  /// What is said after the final dot.
  void reply_to_content(const std::string& text) { reply("\n.", text); }
  int connections() const { return connections_; }
  std::vector<std::string> commands() {
    std::lock_guard lock(mutex_);
    return commands_;
  }
  /// Waits until that many messages were taken.
  bool wait_for(size_t messages) {
    std::unique_lock lock(mutex_);
    return changed_.wait_for(lock, std::chrono::seconds(20), [&] { return got_.size() >= messages; });
  }
  std::vector<Got> got() {
    std::lock_guard lock(mutex_);
    return got_;
  }

 private:
  void serve() {
    while (!stopping_) {
      auto socket = std::make_shared<asio::ip::tcp::socket>(loop_);
      std::error_code error;
      acceptor_.accept(*socket, error);
      if (error || stopping_) return;
      ++connections_;
      std::lock_guard lock(mutex_);
      sockets_.push_back(socket);
      sessions_.emplace_back([this, socket] { session(*socket); });
    }
  }
  std::string reply_for(const std::string& line) {
    std::lock_guard lock(mutex_);
    for (auto one = once_.begin(); one != once_.end(); ++one) {
      if (istarts_with(line, one->first)) return once_.extract(one).mapped();
    }
    std::string best;
    const std::string* text = nullptr;
    for (const auto& [prefix, reply] : replies_) {
      if (istarts_with(line, prefix) && (text == nullptr || prefix.size() > best.size())) {
        best = prefix;
        text = &reply;
      }
    }
    if (text != nullptr) return *text;
    if (line == "DATA") return "354 go on";
    if (line == "QUIT") return "221 bye";
    if (line == "GREETING") return "220 server ready";
    return "250 2.0.0 ok";
  }
  bool say(asio::ip::tcp::socket& socket, const std::string& text) {
    std::error_code error;
    if (text.empty()) {
      socket.shutdown(asio::ip::tcp::socket::shutdown_both, error);
      return false;
    }
    asio::write(socket, asio::buffer(text + "\r\n"), error);
    return !error;
  }
  void session(asio::ip::tcp::socket& socket) {
    std::string buffer;
    auto read_line = [&](std::string& line) {
      std::error_code error;
      size_t size = asio::read_until(socket, asio::dynamic_buffer(buffer), "\r\n", error);
      if (error) return false;
      line = buffer.substr(0, size - 2);
      buffer.erase(0, size);
      return true;
    };
    if (!say(socket, reply_for("GREETING"))) return;
    Got got;
    std::string line;
    while (read_line(line)) {
      {
        std::lock_guard lock(mutex_);
        commands_.push_back(line);
      }
      std::string reply = reply_for(line);
      if (!say(socket, reply)) return;
      if (line == "QUIT") return;
      bool positive = reply[0] == '2';
      if (istarts_with(line, "MAIL")) got = Got();
      if (positive && (istarts_with(line, "MAIL") || istarts_with(line, "RCPT"))) got.envelope.push_back(line);
      if (line != "DATA" || reply[0] != '3') continue;
      while (read_line(line) && line != ".") got.content += (line.starts_with('.') ? line.substr(1) : line) + "\r\n";
      if (line != ".") return;
      std::string end = reply_for("\n.");
      if (end[0] == '2') {
        std::lock_guard lock(mutex_);
        got_.push_back(got);
        changed_.notify_all();
      }
      if (!say(socket, end)) return;
    }
  }

  asio::io_context loop_;
  asio::ip::tcp::acceptor acceptor_;
  std::atomic<bool> stopping_ = false;
  std::atomic<int> connections_ = 0;
  std::mutex mutex_;
  std::condition_variable changed_;
  std::map<std::string, std::string> replies_, once_;
  std::vector<std::string> commands_;
  std::vector<Got> got_;
  std::vector<std::shared_ptr<asio::ip::tcp::socket>> sockets_;
  std::vector<std::thread> sessions_;
  std::thread thread_;
};

}  // namespace postrider
