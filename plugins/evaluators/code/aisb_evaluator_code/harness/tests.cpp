// Put around the tests: their calls of {name} go to the program, and their end is said on descriptor 5.
#include "wire.hpp"
namespace aisb_declared { using namespace std; {head}; }
static auto &aisb_stand_in = aisb_wire::aisb_function<decltype(aisb_declared::{name})>::call;
#define {name} aisb_stand_in
static void aisb_verdict(bool closed, std::string problem, std::string test) {
  auto quoted = [](const std::string &words) {
    std::string made;
    for (char one : words.substr(0, 400)) {
      if (one == '"' || one == '\\') made += '\\';
      made += one < ' ' ? '?' : one;
    }
    return "\"" + made + "\"";
  };
  std::string text = "{\"passed\": false, \"closed\": ";
  text += closed ? "true" : "false";
  text += ", \"problem\": " + quoted(problem) + ", \"test\": " + quoted(test) + "}";
  if (::write(5, text.data(), text.size()) < 0) ::_exit(3);
  ::_exit(0);
}
[[noreturn]] static void aisb_passed() {
  ::_exit(::write(5, "{\"passed\": true}", 16) == 16 ? 0 : 3);
}
#ifdef __GLIBC__
extern "C" void __assert_fail(const char *words, const char *, unsigned int, const char *) noexcept {
  aisb_verdict(false, "AssertionError", words);
  ::_exit(3);
}
#endif
#define main aisb_tests
{tests}
#undef main
int main() {
  try {
    aisb_tests();
  } catch (const aisb_wire::aisb_closed &) {
    aisb_verdict(true, "the program ended before the tests did", "");
  } catch (const std::exception &error) {
    aisb_verdict(false, std::string("exception: ") + error.what(), "");
  } catch (...) {
    aisb_verdict(false, "exception", "");
  }
}
