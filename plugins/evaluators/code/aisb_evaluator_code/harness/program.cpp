// Put behind a program: answers the calls of its tests. {name} is the function asked for, {head} its declared head.
namespace aisb_declared { using namespace std; {head}; }
{undone}#include "wire.hpp"
int main() {
  try {
    aisb_wire::aisb_function<decltype(aisb_declared::{name})>::serve([](auto &&...given) -> decltype(auto) { return ::{name}(std::forward<decltype(given)>(given)...); });
  } catch (const aisb_wire::aisb_closed &) {
  }
  ::_exit(0);
}
