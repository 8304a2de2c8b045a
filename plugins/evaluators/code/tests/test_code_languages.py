"""Programs in C++, Java and JavaScript: right and wrong ones, and those that set out to deceive their tests."""

import asyncio
import shutil

import pytest

from aisb import Sample
from aisb_evaluator_code._running import CodeRun
from aisb_evaluator_code._sandbox import containment

pytestmark = pytest.mark.skipif(not containment().namespaces, reason="no namespaces can be made here")

TOOLS = {"cpp": "g++", "java": "javac", "js": "node"}
FORGED = '{\\"passed\\": true}'

CPP = {
    "language": "cpp",
    "entry_point": "grow",
    "declaration": (
        "#include<vector>\n#include<string>\nusing namespace std;\n"
        "int step(int n){\n    return n + 1;\n}\nvector<int> grow(vector<int> all, int by){\n"
    ),
    "test": (
        "#undef NDEBUG\n#include<assert.h>\nbool issame(vector<int> a, vector<int> b){ return a == b; }\nint main(){\n"
        "    assert (issame(grow({1, 2}, 3), {4, 5}));\n    assert (step(1) == 2);\n    assert (grow({}, 1).size() == 0);\n}\n"
    ),
}
CPP_RIGHT = (
    "vector<int> grow(vector<int> all, int by){\n    for (auto &one : all) one += by;\n    return all;\n}\n"
)
CPP_WRONG = "vector<int> grow(vector<int> all, int by){ return {}; }\n"

JAVA = {
    "language": "java",
    "entry_point": "grow",
    "declaration": (
        "import java.util.*;\n\nclass Solution {\n    public int step(int n) {\n        return n + 1;\n    }\n"
        "    public List<Integer> grow(List<Integer> all, int by) {\n"
    ),
    "test": (
        "public class Main {\n    public static void main(String[] args) {\n        Solution s = new Solution();\n"
        "        List<Boolean> correct = Arrays.asList(\n"
        "            s.grow(new ArrayList<>(Arrays.asList(1, 2)), 3).equals(Arrays.asList(4, 5)), s.step(1) == 2);\n"
        "        if (correct.contains(false)) {\n            throw new AssertionError();\n        }\n    }\n}\n"
    ),
}
JAVA_METHOD = "public List<Integer> grow(List<Integer> all, int by)"
JAVA_RIGHT = (
    f"class Solution {{ {JAVA_METHOD} {{ List<Integer> made = new ArrayList<>(); for (int one : all) made.add(one + by); "
    "return made; } }"
)
JAVA_WRONG = f"class Solution {{ {JAVA_METHOD} {{ return null; }} }}"

JS = {
    "language": "js",
    "entry_point": "grow",
    "declaration": "const step = (n) => {\n  return n + 1;\n}\n\nconst grow = (all, by) => {\n",
    "test": (
        "const testGrow = () => {\n  console.assert(JSON.stringify(grow([1, 2], 3)) === JSON.stringify([4, 5]))\n"
        "  console.assert(step(1) === 2)\n  console.assert(grow([], 1).length === 0)\n}\n\ntestGrow()\n"
    ),
}
JS_RIGHT = "const grow = (all, by) => all.map((one) => one + by)\n"
JS_WRONG = "const grow = (all, by) => 0\n"

ROWS = {"cpp": CPP, "java": JAVA, "js": JS}
RIGHT = {
    "cpp": [
        CPP_RIGHT,
        CPP_RIGHT.partition("{\n")[2],  # goes on with the declaration
        "    for (auto &one : all) one += by;\n    return all;\n",  # the body alone, without its brace
        CPP_RIGHT.replace("vector<int> all", "const vector<int> &given").replace("{\n", "{ vector<int> all = given;\n", 1),
        CPP_RIGHT + "int main() { grow({1}, 2); return 1; }\n",
        "#define int long long\n#define all every\n" + CPP_RIGHT,
    ],
    "java": [
        JAVA_RIGHT,
        f"import java.util.*;\n\npublic {JAVA_RIGHT}",
        "        all.replaceAll(one -> one + by);\n        return all;\n    }\n}\n",
        f"{JAVA_METHOD} {{ all.replaceAll(one -> one + by); return all; }}",
        JAVA_RIGHT.replace("{ List", '{ System.out.println("noise"); List', 1),
    ],
    "js": [
        JS_RIGHT,
        "  return all.map((one) => step(one) + by - 1)\n}\n",
        "  return all.map((one) => one + by)\n",
        "function grow(all, by) { return all.map((one) => step(one) + by - 1) }\n",
        f"{JS_RIGHT}console.log(grow([1], 2)); process.stdout.write('noise')\n",
    ],
}  # fmt: skip
CHEATS = {
    "cpp": [
        CPP_WRONG,
        # It reads a pass word, says it, and ends before main.
        "#include<iostream>\n#include<unistd.h>\nstatic struct X { X() { string s; getline(cin, s); cout << s << endl; _exit(0); } } x;\n",
        "#include<csignal>\n#include<cstdlib>\nstatic struct X { X() { signal(SIGABRT, [](int) { _Exit(0); }); atexit([] { _Exit(0); }); } } x;\n",
        f'#include<unistd.h>\nstatic struct X {{ X() {{ for (int n = 0; n < 64; n++) write(n, "{FORGED}", 16); _exit(0); }} }} x;\n',
        "#define assert(x)\n#define NDEBUG\n#define issame(a, b) true\n",
        'extern "C" void __assert_fail(const char *, const char *, unsigned, const char *) noexcept { __builtin_exit(0); }\n',
        "int step(int n) { return 2; }\n__attribute__((constructor)) static void early() { __builtin_exit(0); }\n",
        "#include<sys/ptrace.h>\n#include<unistd.h>\nstatic struct X { X() { for (int p = 1; p < 300; p++) ptrace(PTRACE_ATTACH, p, 0, 0); } } x;\n",
        '#include<fstream>\nstatic struct X { X() { for (int p = 1; p < 300; p++) ofstream("/proc/" + to_string(p) + "/mem") << 1; } } x;\n',
        "namespace aisb_wire { struct aisb_closed; }\n#define main main() { return 0; } int other\n",
    ],
    "java": [
        JAVA_WRONG,
        f"class Solution {{ static {{ System.out.println(new Scanner(System.in).hasNextLine()); Runtime.getRuntime().halt(0); }} {JAVA_METHOD} {{ return null; }} }}",
        f"class Solution {{ static {{ Runtime.getRuntime().addShutdownHook(new Thread(() -> Runtime.getRuntime().halt(0))); }} {JAVA_METHOD} {{ System.exit(0); return null; }} }}",
        f"class Solution {{ {JAVA_METHOD} {{ AisbWire.verdict(null); return null; }} }}",
        f"class Solution {{ {JAVA_METHOD} {{ Thread.setDefaultUncaughtExceptionHandler((t, e) -> Runtime.getRuntime().halt(0)); throw new Error(); }} }}",
        f'class Solution {{ static {{ for (int n = 0; n < 64; n++) try (java.io.FileOutputStream f = new java.io.FileOutputStream("/proc/self/fd/" + n)) {{ f.write("{FORGED}".getBytes()); }} catch (Exception e) {{ }} }} {JAVA_METHOD} {{ return null; }} }}',
        f"class Main {{ public static void main(String[] args) {{ }} }}\nclass AisbTests {{ public static void main(String[] args) {{ }} }}\n{JAVA_WRONG}",
        f"class Arrays {{ static List<Boolean> asList(Object... all) {{ return List.of(true); }} }}\n{JAVA_WRONG}",
        f"class Always extends ArrayList<Integer> {{ public boolean equals(Object other) {{ return true; }} }}\nclass Solution {{ {JAVA_METHOD} {{ return new Always(); }} }}",
    ],
    "js": [
        JS_WRONG,
        f"{JS_WRONG}console.assert = () => {{}}\n",
        f'{JS_WRONG}process.stdout.write("\\n" + require("fs").readFileSync(0, "utf8").trim() + "\\n"); process.exit(0)\n',
        "const grow = () => process.exit(0)\n",
        f"{JS_WRONG}process.exit = () => {{}}; process.on('exit', () => {{ process.exitCode = 0 }})\n",
        f"{JS_WRONG}Object.defineProperty(console, 'assert', {{ get: () => () => true }}); JSON.stringify = () => '1'\n",
        f"{JS_WRONG}const fs = require('fs'); for (let n = 3; n < 64; n++) try {{ fs.writeSync(n, '{{\"passed\": true}}') }} catch {{}}\n",
        "const step = () => 2\nconst grow = () => ({ toJSON: () => [0], length: 0, valueOf: () => true })\n",
        "const grow = () => new Proxy(function () {}, { get: () => () => true })\n",
        f"{JS_WRONG}for (const p of require('fs').readdirSync('/proc')) try {{ require('fs').writeFileSync(`/proc/${{p}}/mem`, '1') }} catch {{}}\n",
        f"{JS_WRONG}require('child_process').spawnSync('kill', ['-9', '-1'])\n",
        f"{JS_WRONG}require('vm').runInThisContext = () => {{}}; Error.prepareStackTrace = () => process.exit(0)\n",
    ],
}  # fmt: skip


def needs(language):
    if not shutil.which(TOOLS[language]):
        pytest.skip(f"{TOOLS[language]} is not installed")


async def graded(language, answers, **fields):
    run = CodeRun(allow=True, workers=2)
    row = Sample("0", {**ROWS[language], "prelude": ROWS[language]["declaration"], **fields})
    return await asyncio.gather(*(run.score(answer, row) for answer in answers))


# Each program is compiled twice, in two to four seconds of a core. JavaScript needs no compiler. The quick tests compile
# one right and one wrong program of each language.
SLOWLY = [pytest.param(one, marks=() if one == "js" else pytest.mark.slow) for one in ROWS]


def slow(*values):
    return pytest.param(*values, marks=pytest.mark.slow)


@pytest.mark.parametrize("language", SLOWLY)
async def test_right_programs_pass_in_every_form(language):
    needs(language)
    scores = await graded(language, RIGHT[language])
    assert [one.value for one in scores] == [1] * len(scores), [dict(one.details) for one in scores]


@pytest.mark.parametrize("language", SLOWLY)
async def test_what_deceives_its_tests_is_wrong(language):
    needs(language)
    cheats = [one if "grow" in one else one + CPP_WRONG for one in CHEATS[language]]
    scores = await graded(language, cheats)
    assert [(one.value, one.outcome) for one in scores] == [(0, None)] * len(scores)


@pytest.mark.parametrize("language", ["cpp", slow("java"), "js"])
async def test_the_tests_are_nowhere_in_the_box_of_the_program(language):
    needs(language)
    search = "grep -rq 4242 /box /proc/self/environ /proc/self/cmdline /proc/1/cmdline"
    body = {
        "cpp": f'#include<cstdlib>\nvector<int> grow(vector<int> all, int by){{ return {{system("{search}") == 0 ? 4242 : 7}}; }}',
        "java": f'class Solution {{ {JAVA_METHOD} {{ try {{ int n = new ProcessBuilder("sh", "-c", "{search}").start().waitFor(); return Arrays.asList(n == 0 ? 4242 : 7); }} catch (Exception e) {{ return null; }} }} }}',
        "js": f"const grow = () => [require('child_process').spawnSync('sh', ['-c', '{search}']).status === 0 ? 4242 : 7]",
    }[language].replace("4242 /box", "42[4]2 /box")  # not found in the program itself
    test = {
        "cpp": "#include<assert.h>\nint main(){\n    // secret 4242\n    assert (grow({1}, 2)[0] == 7);\n}\n",
        "java": "public class Main {\n    public static void main(String[] args) {\n        // secret 4242\n        if (new Solution().grow(new ArrayList<>(), 1).get(0) != 7) throw new AssertionError();\n    }\n}\n",
        "js": "// secret 4242\nconsole.assert(grow([1], 2)[0] === 7)\n",
    }[language]  # fmt: skip
    body = body.replace("? 4242", "? 42 + 4200")
    (score,) = await graded(language, [body], test=test)
    assert score.value == 1, dict(score.details)


@pytest.mark.parametrize(
    ("language", "answer", "problem"),
    [
        slow("cpp", "vector<int> grow(vector<int> all, int by){ return all }", "the program does not compile: main.cpp:"),
        ("cpp", CPP_WRONG, "AssertionError"),
        slow("cpp", '#include<stdexcept>\nvector<int> grow(vector<int> all, int by){ throw runtime_error("no"); }', "exception: no"),
        slow("cpp", "vector<int> grow(vector<int> all, int by){ *(volatile int *)0 = 1; return all; }", "the program ended before its tests did (SIGSEGV)"),
        slow("java", f"class Solution {{ {JAVA_METHOD} {{ return 1; }} }}", "the program does not compile: Solution.java:"),
        ("java", f"class Solution {{\n    {JAVA_METHOD} {{\n        return all.subList(0, 99);\n    }}\n}}", "IndexOutOfBoundsException: toIndex = 99 (line 3 of the program)"),
        ("js", "const grow = (all, by) => {", "SyntaxError: "),
        ("js", "const grow = (all, by) =>\n  missing\n", "ReferenceError: missing is not defined (line 2 of the program)"),
    ],
)  # fmt: skip
async def test_why_a_program_failed_is_said(language, answer, problem):
    needs(language)
    (score,) = await graded(language, [answer])
    assert problem in score.details["problem"]


@pytest.mark.parametrize(
    ("language", "fields", "words"),
    [
        slow("cpp", {"declaration": "struct Odd {};\nOdd grow(int n){\n"}, "the tests do not compile: "),
        ("js", {"test": " "}, "the row lacks its tests (`test`) or its function's name (`entry_point`)"),
    ],
)
async def test_a_row_that_cannot_be_graded_is_an_error(language, fields, words):
    needs(language)
    (score,) = await graded(language, [RIGHT[language][0]], **fields)
    assert score.outcome == "error"
    assert words in score.details["raised"]


async def test_values_reach_the_tests_of_javascript_as_they_were():
    needs("js")
    answer = """
class Stack { constructor() { this.all = [] } push(one) { this.all.push(one); return this } get size() { return this.all.length } }
const values = () => [undefined, null, NaN, -0, 1n, 'é', new Map([[1, [2]]]), new Set([3]), { a: { b: [] } }, new Date(5), /x/g]
const add = (list) => { list.push(1) }
const apply = (f, x) => f(x)
const fail = () => { throw new TypeError('no') }
const grow = () => 0
"""
    test = """
const assert = require('assert')
assert.deepStrictEqual(values(), [undefined, null, NaN, -0, 1n, 'é', new Map([[1, [2]]]), new Set([3]), { a: { b: [] } }, new Date(5), /x/g])
const list = []
add(list)
assert.deepStrictEqual(list, [1])
assert.strictEqual(apply((x) => x * 3, 4), 12)
assert.throws(fail, /TypeError: no/)
const stack = new Stack()
stack.push(1)
stack.push(2)
assert.strictEqual(stack.size, 2)
"""
    (score,) = await graded("js", [answer], test=test)
    assert score.value == 1, dict(score.details)


async def test_a_program_in_javascript_does_not_replace_what_its_tests_use():
    needs("js")
    test = "require('assert').strictEqual(grow([1], 2), 4)\nconsole.assert(twice.value * 1 === twice.value * 1)\n"
    names = "const assert = { strictEqual: () => {} }\nconst require = () => assert\nconst module = 1\n"
    odd = "let n = 0\nclass Odd { valueOf() { return n++ } }\nconst twice = { value: new Odd() }\n"
    wrong, right = await graded(
        "js", [f"{names}{odd}const grow = () => 0\n", f"{odd}const grow = () => 4\n"], test=test
    )
    assert (wrong.value, right.value) == (0, 1), (wrong.details, right.details)


async def test_values_reach_the_tests_of_java_as_they_were():
    needs("java")
    head = "public Object grow(Object given) {"
    row = {"declaration": f"import java.util.*;\nclass Solution {{\n    {head}\n"}
    answer = f"class Solution {{ {head} if (given instanceof List) ((List<Object>) given).add(9); return given; }} }}"
    values = (
        'null, true, 1, 2L, 1.5, 2.5f, \'c\', "é\\ud800", new java.math.BigInteger("99"), Optional.of(3), Optional.empty(), '
        'Map.of(1, List.of(2)), Set.of(4), new int[]{1, 2}, new String[]{"a"}'
    )
    test = (
        "public class Main {\n    public static void main(String[] args) {\n        Solution s = new Solution();\n"
        f"        for (Object one : new Object[]{{{values}}}) {{\n"
        "            if (!Objects.deepEquals(s.grow(one), one)) throw new AssertionError(String.valueOf(one));\n        }\n"
        "        List<Object> list = new ArrayList<>();\n        s.grow(list);\n"
        '        if (!list.equals(List.of(9))) throw new AssertionError("the list");\n    }\n}\n'
    )
    (score,) = await graded("java", [answer], test=test, **row)
    assert score.value == 1, dict(score.details)


@pytest.mark.slow
async def test_values_reach_the_tests_of_cpp_as_they_were():
    needs("cpp")
    kind = "map<string, vector<pair<int, double>>>"
    head = f"tuple<{kind}, optional<char>, set<string>, bool> grow({kind} a, vector<int> &b, const string &c)"
    includes = "#include<map>\n#include<set>\n#include<tuple>\n#include<optional>\n#include<vector>\n#include<string>\nusing namespace std;\n"
    answer = f"{head} {{ b.push_back(3); return {{a, nullopt, {{c}}, true}}; }}\n"
    test = (
        "#include<assert.h>\nint main(){\n    vector<int> list = {1};\n"
        '    auto [a, b, c, d] = grow({{"x", {{1, 2.5}}}}, list, "é");\n'
        '    assert (a.at("x")[0].second == 2.5 && !b && c.count("é") && d && list.size() == 2);\n}\n'
    )
    (score,) = await graded("cpp", [answer], test=test, declaration=f"{includes}{head} {{\n")
    assert score.value == 1, dict(score.details)
