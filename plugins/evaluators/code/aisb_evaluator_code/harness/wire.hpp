// Carries the arguments and the result of one function between a program and its tests, which are two processes.
// Both are compiled with the declared type of the function, so values travel without tags. What arrives is
// checked against the message's length: the program's end is not trusted.
#include <array>
#include <cstdint>
#include <cstring>
#include <deque>
#include <exception>
#include <iterator>
#include <list>
#include <map>
#include <optional>
#include <set>
#include <stdexcept>
#include <string>
#include <tuple>
#include <type_traits>
#include <unistd.h>
#include <unordered_map>
#include <unordered_set>
#include <utility>
#include <vector>
#if __has_include(<boost/any.hpp>)
#include <boost/any.hpp>
#endif

namespace aisb_wire {

const std::uint32_t aisb_largest = 64u << 20;

struct aisb_closed : std::exception {};

struct aisb_writer {
  std::string bytes;
  void raw(const void *from, std::size_t size) { bytes.append(static_cast<const char *>(from), size); }
  void count(std::size_t many) { std::uint64_t wide = many; raw(&wide, sizeof wide); }
};

struct aisb_reader {
  std::string bytes;
  std::size_t at = 0;
  void raw(void *to, std::size_t size) {
    if (size > bytes.size() - at) throw aisb_closed();
    std::memcpy(to, bytes.data() + at, size);
    at += size;
  }
  std::size_t count() {
    std::uint64_t wide = 0;
    raw(&wide, sizeof wide);
    if (wide > bytes.size() - at) throw aisb_closed();  // every value takes a byte at least
    return static_cast<std::size_t>(wide);
  }
};

template <class V, class = void> struct aisb_form;

template <class V> void aisb_put(aisb_writer &out, const V &value) { aisb_form<V>::put(out, value); }
template <class V> V aisb_get(aisb_reader &in) { return aisb_form<V>::get(in); }

// Numbers travel at full width: a program that has `#define int long long` has wider ones than its tests.
template <class V> struct aisb_form<V, std::enable_if_t<std::is_arithmetic<V>::value || std::is_enum<V>::value>> {
  using wide = std::conditional_t<std::is_floating_point<V>::value, long double, std::int64_t>;
  static void put(aisb_writer &out, const V &value) {
    wide sent = static_cast<wide>(value);
    out.raw(&sent, sizeof sent);
  }
  static V get(aisb_reader &in) {
    wide found{};
    in.raw(&found, sizeof found);
    return static_cast<V>(found);
  }
};

template <> struct aisb_form<std::string> {
  static void put(aisb_writer &out, const std::string &value) { out.count(value.size()); out.raw(value.data(), value.size()); }
  static std::string get(aisb_reader &in) {
    std::string value(in.count(), '\0');
    in.raw(&value[0], value.size());
    return value;
  }
};

template <> struct aisb_form<const char *> {  // the checker keeps what it points to until it ends
  static void put(aisb_writer &out, const char *value) { aisb_put(out, std::string(value)); }
  static const char *get(aisb_reader &in) { return (new std::string(aisb_get<std::string>(in)))->c_str(); }
};

template <class V> struct aisb_sequence {
  using item = std::remove_cv_t<typename V::value_type>;
  static void put(aisb_writer &out, const V &value) {
    out.count(value.size());
    for (const auto &one : value) aisb_put<item>(out, one);
  }
  static V get(aisb_reader &in) {
    V value;
    for (std::size_t left = in.count(); left > 0; --left) value.insert(value.end(), aisb_get<item>(in));
    return value;
  }
};
template <class V> struct aisb_form<std::vector<V>> : aisb_sequence<std::vector<V>> {};
template <class V> struct aisb_form<std::list<V>> : aisb_sequence<std::list<V>> {};
template <class V> struct aisb_form<std::deque<V>> : aisb_sequence<std::deque<V>> {};
template <class V, class C> struct aisb_form<std::set<V, C>> : aisb_sequence<std::set<V, C>> {};
template <class V, class C> struct aisb_form<std::multiset<V, C>> : aisb_sequence<std::multiset<V, C>> {};
template <class V> struct aisb_form<std::unordered_set<V>> : aisb_sequence<std::unordered_set<V>> {};

template <class V> struct aisb_table {
  using key = typename V::key_type;
  using item = typename V::mapped_type;
  static void put(aisb_writer &out, const V &value) {
    out.count(value.size());
    for (const auto &one : value) { aisb_put<key>(out, one.first); aisb_put<item>(out, one.second); }
  }
  static V get(aisb_reader &in) {
    V value;
    for (std::size_t left = in.count(); left > 0; --left) {
      key name = aisb_get<key>(in);
      value.emplace(std::move(name), aisb_get<item>(in));
    }
    return value;
  }
};
template <class K, class V, class C> struct aisb_form<std::map<K, V, C>> : aisb_table<std::map<K, V, C>> {};
template <class K, class V> struct aisb_form<std::unordered_map<K, V>> : aisb_table<std::unordered_map<K, V>> {};

template <class A, class B> struct aisb_form<std::pair<A, B>> {
  static void put(aisb_writer &out, const std::pair<A, B> &value) { aisb_put<A>(out, value.first); aisb_put<B>(out, value.second); }
  static std::pair<A, B> get(aisb_reader &in) {
    A one = aisb_get<A>(in);
    return {std::move(one), aisb_get<B>(in)};
  }
};

template <class... V> struct aisb_form<std::tuple<V...>> {
  static void put(aisb_writer &out, const std::tuple<V...> &value) {
    std::apply([&](const V &...one) { (aisb_put<V>(out, one), ...); }, value);
  }
  static std::tuple<V...> get(aisb_reader &in) { return std::tuple<V...>{aisb_get<V>(in)...}; }  // braces: in order
};

template <class V, std::size_t N> struct aisb_form<std::array<V, N>> {
  static void put(aisb_writer &out, const std::array<V, N> &value) { for (const V &one : value) aisb_put<V>(out, one); }
  static std::array<V, N> get(aisb_reader &in) {
    std::array<V, N> value;
    for (V &one : value) one = aisb_get<V>(in);
    return value;
  }
};

template <class V> struct aisb_form<std::optional<V>> {
  static void put(aisb_writer &out, const std::optional<V> &value) {
    aisb_put<bool>(out, value.has_value());
    if (value) aisb_put<V>(out, *value);
  }
  static std::optional<V> get(aisb_reader &in) {
    if (!aisb_get<bool>(in)) return std::nullopt;
    return aisb_get<V>(in);
  }
};

#if __has_include(<boost/any.hpp>)
template <> struct aisb_form<boost::any> {
  template <class V> static bool put_as(aisb_writer &out, const boost::any &value, char tag) {
    if (value.type() != typeid(V)) return false;
    aisb_put<char>(out, tag);
    aisb_put<V>(out, boost::any_cast<V>(value));
    return true;
  }
  static void put(aisb_writer &out, const boost::any &value) {
    if (put_as<int>(out, value, 'i') || put_as<double>(out, value, 'd') || put_as<std::string>(out, value, 's') ||
        put_as<float>(out, value, 'f') || put_as<bool>(out, value, 'b') || put_as<char>(out, value, 'c') ||
        put_as<long>(out, value, 'l') || put_as<long long>(out, value, 'L') || put_as<const char *>(out, value, 'p') ||
        put_as<std::list<boost::any>>(out, value, 'a') || put_as<std::vector<int>>(out, value, 'v') ||
        put_as<std::map<std::string, int>>(out, value, 'm'))
      return;
    aisb_put<char>(out, 'e');
  }
  static boost::any get(aisb_reader &in) {
    switch (aisb_get<char>(in)) {
    case 'i': return aisb_get<int>(in);
    case 'd': return aisb_get<double>(in);
    case 's': return aisb_get<std::string>(in);
    case 'f': return aisb_get<float>(in);
    case 'b': return aisb_get<bool>(in);
    case 'c': return aisb_get<char>(in);
    case 'l': return aisb_get<long>(in);
    case 'L': return aisb_get<long long>(in);
    case 'p': return aisb_get<const char *>(in);
    case 'a': return aisb_get<std::list<boost::any>>(in);
    case 'v': return aisb_get<std::vector<int>>(in);
    case 'm': return aisb_get<std::map<std::string, int>>(in);
    case 'e': return boost::any();
    }
    throw aisb_closed();
  }
};
#endif

struct aisb_channel {
  static const int reading = 3, writing = 4;
  void send(const aisb_writer &message) {
    std::uint32_t size = static_cast<std::uint32_t>(message.bytes.size());
    if (message.bytes.size() > aisb_largest) throw aisb_closed();
    std::string whole(reinterpret_cast<const char *>(&size), sizeof size);
    whole += message.bytes;
    for (std::size_t at = 0; at < whole.size();) {
      ssize_t done = ::write(writing, whole.data() + at, whole.size() - at);
      if (done <= 0) throw aisb_closed();
      at += static_cast<std::size_t>(done);
    }
  }
  void exactly(char *to, std::size_t size) {
    while (size > 0) {
      ssize_t done = ::read(reading, to, size);
      if (done <= 0) throw aisb_closed();
      to += done;
      size -= static_cast<std::size_t>(done);
    }
  }
  aisb_reader receive() {
    std::uint32_t size = 0;
    exactly(reinterpret_cast<char *>(&size), sizeof size);
    if (size > aisb_largest) throw aisb_closed();
    aisb_reader message;
    message.bytes.resize(size);
    exactly(&message.bytes[0], size);
    return message;
  }
};

template <class A> constexpr bool aisb_comes_back = std::is_lvalue_reference<A>::value && !std::is_const<std::remove_reference_t<A>>::value;
template <class A> using aisb_value = std::remove_cv_t<std::remove_reference_t<A>>;

template <class Type> struct aisb_function;

template <class R, class... A> struct aisb_function<R(A...)> {
  static aisb_channel &channel() { static aisb_channel one; return one; }

  // In the tests: have the program call its function.
  static R call(A... given) {
    aisb_writer out;
    (aisb_put<aisb_value<A>>(out, given), ...);
    channel().send(out);
    aisb_reader in = channel().receive();
    if (!aisb_get<bool>(in)) throw std::runtime_error(aisb_get<std::string>(in).substr(0, 300));
    if constexpr (std::is_void<R>::value) {
      (back<A>(in, given), ...);
    } else {
      // A reference that a function returns refers to what the tests keep until they end.
      auto *value = new aisb_value<R>(aisb_get<aisb_value<R>>(in));
      (back<A>(in, given), ...);
      return *value;
    }
  }

  // In the program: answer the tests' calls until they end.
  template <class F> static void serve(F function) {
    while (true) {
      aisb_reader in = channel().receive();
      std::tuple<aisb_value<A>...> given{aisb_get<aisb_value<A>>(in)...};
      aisb_writer out;
      try {
        aisb_writer made;
        aisb_put<bool>(made, true);
        std::apply([&](aisb_value<A> &...one) { answer(made, function, one...); }, given);
        out = std::move(made);
      } catch (const std::exception &error) {
        out.bytes.clear();
        aisb_put<bool>(out, false);
        aisb_put(out, std::string(error.what()));
      } catch (...) {
        out.bytes.clear();
        aisb_put<bool>(out, false);
        aisb_put(out, std::string("an exception"));
      }
      channel().send(out);
    }
  }

private:
  template <class One, class Given> static void back(aisb_reader &in, Given &given) {
    if constexpr (aisb_comes_back<One>) given = aisb_get<aisb_value<One>>(in);
  }
  template <class F> static void answer(aisb_writer &out, F function, aisb_value<A> &...given) {
    if constexpr (std::is_void<R>::value) {
      function(static_cast<aisb_passed<A>>(given)...);
    } else {
      aisb_put<aisb_value<R>>(out, static_cast<aisb_value<R>>(function(static_cast<aisb_passed<A>>(given)...)));
    }
    (after<A>(out, given), ...);
  }
  template <class One> using aisb_passed = std::conditional_t<std::is_lvalue_reference<One>::value, One, aisb_value<One> &&>;
  template <class One> static void after(aisb_writer &out, const aisb_value<One> &given) {
    if constexpr (aisb_comes_back<One>) aisb_put<aisb_value<One>>(out, given);
  }
};

}  // namespace aisb_wire
