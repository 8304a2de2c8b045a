// One end of the channel between a program and its tests, which are two processes of node.
// `node peer.js program FILE` serves what a program defines; `node peer.js tests FILE` runs the tests.
// Plain values travel; functions and instances of classes stay where they are and are named by a number.
"use strict";
const fs = require("fs");
const vm = require("vm");
const READING = 3;
const WRITING = 4;
const VERDICT = 5;
const LARGEST = 64 << 20;

class Closed extends Error {}

class Peer {
  constructor() {
    this.own = [];
    this.numbers = new Map();
    this.remotes = new Map();
    this.names = () => undefined;
  }

  send(message) {
    const text = Buffer.from(JSON.stringify(message));
    if (text.length > LARGEST) throw new Error("a value is too large to be compared");
    const head = Buffer.alloc(4);
    head.writeUInt32LE(text.length);
    const whole = Buffer.concat([head, text]);
    for (let at = 0; at < whole.length; ) at += fs.writeSync(WRITING, whole, at);
  }

  exactly(size) {
    const found = Buffer.alloc(size);
    for (let at = 0; at < size; ) {
      const read = fs.readSync(READING, found, at, size - at, null);
      if (read === 0) throw new Closed();
      at += read;
    }
    return found;
  }

  receive() {
    try {
      const size = this.exactly(4).readUInt32LE();
      if (size > LARGEST) throw new Closed();
      const message = JSON.parse(this.exactly(size).toString());
      if (message === null || typeof message !== "object") throw new Closed();
      return message;
    } catch (error) {
      throw new Closed(error.message);
    }
  }

  // Send a request, answer the other end's own ones meanwhile, and return the reply's value.
  ask(action, of, ...args) {
    this.send({ action, of, args: this.pack(args) });
    const reply = this.serve(true);
    if ("raised" in reply) {
      const raised = new Error(String(reply.raised).slice(0, 500));
      raised.name = "Raised";
      throw raised;
    }
    const after = this.unpack(reply.after);
    args.forEach((own, position) => change(own, after[position]));
    return this.unpack(reply.value);
  }

  serve(untilReply = false) {
    for (;;) {
      const message = this.receive();
      if (!("action" in message)) {
        if (untilReply) return message;
        continue;
      }
      let reply;
      try {
        const args = this.unpack(message.args);
        const value = this.act(message, args);
        reply = { value: this.pack(value), after: this.pack(args) };
        this.send(reply);
      } catch (error) {
        if (error instanceof Closed) throw error;
        this.send({ raised: described(error) });
      }
    }
  }

  act({ action, of }, args) {
    if (action === "name") return this.names(of);
    const found = this.own[of];
    switch (action) {
      case "call": return found(...args);
      case "new": return new found(...args);
      case "method": {
        const [name, ...rest] = args;
        return found[name](...rest);
      }
      case "read": return typeof found[args[0]] === "function" ? { aisbMethod: true } : found[args[0]];
      case "write": found[args[0]] = args[1]; return true;
      case "keys": return Object.keys(found);
      case "text": return String(found);
      case "number": return Number(found);
      case "list": return [...found];
      case "json": return JSON.parse(JSON.stringify(found) ?? "null");
    }
    throw new Error("an unknown action");
  }

  refer(value) {
    if (!this.numbers.has(value)) this.numbers.set(value, this.own.push(value) - 1);
    return ["own", this.numbers.get(value), typeof value === "function"];
  }

  pack(value) {
    const many = (values) => Array.from(values, (one) => this.pack(one));
    switch (typeof value) {
      case "undefined": return ["undefined"];
      case "boolean": case "string": return value;
      case "number":
        return Number.isFinite(value) && !Object.is(value, -0) ? value : ["number", Object.is(value, -0) ? "-0" : String(value)];
      case "bigint": return ["bigint", String(value)];
      case "symbol": return ["symbol", String(value.description)];
      case "function": return remote(value) ? ["yours", remote(value)] : this.refer(value);
    }
    if (value === null) return null;
    if (remote(value) !== undefined) return ["yours", remote(value)];
    if (Array.isArray(value)) return ["array", many(value)];
    if (value instanceof Map) return ["map", [...value].map((pair) => many(pair))];
    if (value instanceof Set) return ["set", many(value)];
    if (value instanceof Date) return ["date", value.getTime()];
    if (value instanceof RegExp) return ["regexp", value.source, value.flags];
    const proto = Object.getPrototypeOf(value);
    const isPlain = proto === null || Object.getPrototypeOf(proto) === null;
    if (isPlain && !Object.values(value).some((one) => typeof one === "function"))
      return ["object", Object.entries(value).map(([key, one]) => [key, this.pack(one)])];
    return this.refer(value);
  }

  unpack(value) {
    if (!Array.isArray(value)) return value;
    const [kind, inner, more] = value;
    switch (kind) {
      case "undefined": return undefined;
      case "number": return Number(inner);
      case "bigint": return BigInt(inner);
      case "symbol": return Symbol(inner);
      case "array": return inner.map((one) => this.unpack(one));
      case "map": return new Map(inner.map((pair) => pair.map((one) => this.unpack(one))));
      case "set": return new Set(inner.map((one) => this.unpack(one)));
      case "date": return new Date(inner);
      case "regexp": return new RegExp(inner, more);
      case "object": {
        const made = {};
        for (const [key, one] of inner)
          Object.defineProperty(made, key, { value: this.unpack(one), writable: true, enumerable: true, configurable: true });
        return made;
      }
      case "yours": return this.own[inner];
      case "own":
        if (!this.remotes.has(inner)) this.remotes.set(inner, this.stand(inner, more));
        return this.remotes.get(inner);
    }
    throw new Closed();
  }

  // What stands here for a function or an instance at the other end.
  stand(number, isFunction) {
    const peer = this;
    const target = isFunction ? function () {} : {};
    const primitives = new Map();
    // Asked once: a number that changes between two uses is none.
    const primitive = (kind) => {
      if (!primitives.has(kind)) primitives.set(kind, peer.ask(kind, number));
      return primitives.get(kind);
    };
    const made = new Proxy(target, {
      apply: (_target, _self, args) => peer.ask("call", number, ...args),
      construct: (_target, args) => peer.ask("new", number, ...args),
      get(own, name) {
        if (name === Symbol.toPrimitive) return (hint) => primitive(hint === "string" ? "text" : "number");
        if (name === Symbol.iterator) return () => peer.ask("list", number)[Symbol.iterator]();
        if (name === "toJSON") return () => peer.ask("json", number);
        if (typeof name === "symbol" || name === "prototype") return own[name];
        const value = peer.ask("read", number, name);
        return value && value.aisbMethod === true ? (...args) => peer.ask("method", number, name, ...args) : value;
      },
      set: (_target, name, value) => peer.ask("write", number, String(name), value),
    });
    REMOTE.set(made, number);
    return made;
  }
}

const REMOTE = new WeakMap();
const OF_THE_TESTS = new Set(["require", "module", "exports", "arguments", "__filename", "__dirname"]);

function remote(value) {
  return REMOTE.get(value);
}

// Make a list or table of this end what the other end has made of it.
function change(own, after) {
  if (Array.isArray(own) && Array.isArray(after)) own.splice(0, own.length, ...after);
  else if (own && typeof own === "object" && remote(own) === undefined && Object.getPrototypeOf(own) === Object.prototype) {
    for (const key of Object.keys(own)) if (!(key in after)) delete own[key];
    Object.assign(own, after);
  }
}

function described(error) {
  if (!(error instanceof Error) && !(error && error.message)) return `threw ${String(error).slice(0, 300)}`;
  const line = /program\.js:(\d+)/.exec(String(error.stack));
  return `${error.name}: ${String(error.message).slice(0, 300)}` + (line ? ` (line ${line[1]} of the program)` : "");
}

function serveProgram(file) {
  const peer = new Peer();
  const text = fs.readFileSync(file, "utf8");
  const named = /(?:^|[\s;}])(?:function\s*\*?|class|const|let|var)\s+([A-Za-z_$][\w$]*)/g;
  const names = [...new Set(Array.from(text.matchAll(named), (found) => found[1]))];
  let look;
  try {
    const given = ["exports", "require", "module", "__filename", "__dirname"];
    const run = vm.compileFunction(`${text}\n;return (aisbName) => eval(aisbName);`, given, { filename: "program.js" });
    const module = { exports: {} };
    look = run.call(module.exports, module.exports, require, module, file, __dirname);
  } catch (error) {
    peer.send({ problem: described(error), syntax: error instanceof SyntaxError });
    return;
  }
  const found = (name) => {
    try {
      return look(name);
    } catch {
      return undefined;
    }
  };
  peer.names = found;
  peer.send({ names: names.filter((name) => found(name) !== undefined) });
  peer.serve();
}

function runTests(file) {
  const { prelude, test, entry } = JSON.parse(fs.readFileSync(file, "utf8"));
  const peer = new Peer();
  const ready = peer.receive();
  if ("problem" in ready) return { passed: false, problem: String(ready.problem), syntax: Boolean(ready.syntax) };
  if (entry && !ready.names.includes(entry)) return { passed: false, problem: `the program does not define ${entry}` };
  const { compileFunction } = vm;
  console.assert = (holds, ...words) => {
    if (holds) return;
    const failed = new Error(words.map(String).join(" "));
    failed.name = "AssertionError";
    throw failed;
  };
  const given = {};
  try {
    // The prompt's own helpers are not the program's to change.
    const inner = /(?:^|[\s;}])(?:function\s*\*?|const|let|var)\s+([A-Za-z_$][\w$]*)/g;
    const helpers = Array.from(prelude.matchAll(inner), (found) => found[1]).filter((name) => name !== entry);
    const made = `${prelude}\n;return [${helpers.map((name) => `typeof ${name} === "undefined" ? undefined : ${name}`)}];`;
    compileFunction(made, ["require"])(require).forEach((one, number) => {
      if (one !== undefined) given[helpers[number]] = one;
    });
  } catch {
    // A prompt that is no program has no helpers.
  }
  for (const name of ready.names.map(String))
    if (name === entry || !(name in given || name in globalThis || OF_THE_TESTS.has(name))) given[name] = peer.ask("name", name);
  const usable = Object.keys(given).filter((name) => /^[A-Za-z_$][\w$]*$/.test(name));
  // The tests may declare a name that the program has, too.
  const run = compileFunction(`{${test}\n}`, ["require", ...usable], { filename: "test.js" });
  run(require, ...usable.map((name) => given[name]));
  return { passed: true };
}

const [, , role, file] = process.argv;
if (role === "program") {
  try {
    serveProgram(file);
  } catch {
    process.exit(1);
  }
  process.exit(0);
}
let verdict;
try {
  verdict = runTests(file);
} catch (error) {
  if (error instanceof Closed) verdict = { passed: false, problem: "the program ended before the tests did", closed: true };
  else {
    const words = error.name === "Raised" ? error.message : `${error.name}: ${error.message}`;
    verdict = { passed: false, problem: words.slice(0, 500) };
    const line = /test\.js:(\d+)/.exec(String(error.stack));
    const lines = JSON.parse(fs.readFileSync(file, "utf8")).test.split("\n");
    if (line) verdict.test = (lines[Number(line[1]) - 1] ?? "").trim().slice(0, 300);
  }
}
fs.writeSync(VERDICT, JSON.stringify(verdict));
process.exit(0);
