//! Code that is not meant well: each ends within its limits with a clear error, and the next is answered.

use std::time::Duration;

use everlog::engine::workers::WorkerError;

use crate::support::workers::Shop;

/// What ends it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum End {
    /// It fails, and its worker goes on.
    Fault(&'static str),
    /// It does no harm.
    Harmless,
    /// Its worker is killed, or fails it if it ends before.
    Killed,
}
use End::{Fault, Harmless, Killed};

const TIME: End = Fault("ms of CPU time");
const REFUSED: End = Fault("Error");

/// By what they try: bodies of a handler.
const CASES: [(&str, End); 84] = [
    // Loops.
    ("while (true) {}", TIME),
    ("for (;;) { try { while (true) {} } catch (e) {} finally { continue; } }", TIME),
    ("const f = () => { try { f(); } finally { f(); } }; f();", Fault("")),
    ("for (const x of (function* () { while (true) yield 1; })()) {}", TIME),
    ("[...(function* () { while (true) yield 1; })()]", Fault("")),
    ("new Map((function* () { let n = 0; while (true) yield [n++, 1]; })())", Fault("")),
    ("Object.groupBy((function* () { while (true) yield 1; })(), x => x)", Fault("")),
    ("const [...rest] = (function* () { while (true) yield 1; })()", Fault("")),
    ("let s = 0; for (let i = 0; i < 1e12; i++) s += i; return s;", TIME),
    ("label: while (true) { continue label; }", TIME),
    ("eval('while (true) {}')", TIME),
    ("new Function('while (true) {}')()", TIME),
    ("[1].map(() => { while (true) {} })", TIME),
    ("[3, 2, 1].sort(() => { while (true) {} })", TIME),
    ("'aaa'.replace(/a/g, () => { while (true) {} })", TIME),
    ("JSON.parse('[1,2]', () => { while (true) {} })", TIME),
    ("JSON.stringify({get a() { while (true) {} }})", TIME),
    ("({toString() { while (true) {} }}) + ''", TIME),
    ("({[Symbol.toPrimitive]() { while (true) {} }}) * 1", TIME),
    // Patterns.
    ("/(a+)+$/.test('a'.repeat(40) + 'b')", TIME),
    ("/(a*)*b/.test('a'.repeat(40))", TIME),
    ("/^(([a-z])+.)+[A-Z]([a-z])+$/.test('a'.repeat(60))", TIME),
    ("/(.*)\\1\\1\\1x/.test('ab'.repeat(5000))", TIME),
    ("/.*.*.*.*=/.test('x'.repeat(3000))", TIME),
    // Memory.
    ("const a = []; while (true) a.push(new Array(1000).fill(1));", Fault("")),
    ("let s = 'x'; while (true) s += s;", Fault("")),
    ("'x'.repeat(1e9)", Fault("")),
    ("'x'.padStart(2 ** 30)", Fault("")),
    ("new Array(1e8).fill({})", Fault("")),
    ("const o = {}; for (let i = 0; ; i++) o['k' + i] = 'x'.repeat(1000);", Fault("")),
    // The time is looked at once in 10,000 rounds; in so many the worker may have taken more than it may be silent for.
    ("const a = []; for (;;) { try { a.push('x'.repeat(1e6)); } catch (e) {} }", Killed),
    ("let n = 2n; while (true) n = n * n;", Fault("")),
    ("2n ** (2n ** 40n)", Fault("")),
    ("Array.from({length: 1e9})", Killed),
    ("[].concat(...Array(100).fill(Array(1e6).fill(1)))", Killed),
    // Depth.
    ("const f = () => f(); f();", Fault("RangeError")),
    ("const f = () => [f()]; f();", Fault("RangeError")),
    ("let a = []; for (let i = 0; i < 1e5; i++) a = [a]; return a;", Fault("")),
    ("let o = {}; for (let i = 0; i < 1e5; i++) o = {o}; return o;", Fault("")),
    ("JSON.parse('['.repeat(1e6))", Fault("")),
    ("new RegExp('('.repeat(1e5) + ')'.repeat(1e5))", Fault("")),
    ("eval('['.repeat(1e5))", Fault("")),
    // Builtins that do not ask.
    ("[].indexOf.call({length: 2 ** 53 - 1}, 1)", Killed),
    ("[].reverse.call({length: 2 ** 53 - 1})", Killed),
    ("[].join.call({length: 2 ** 31})", Killed),
    ("[].shift.call({length: 2 ** 53 - 1})", Killed),
    ("[].unshift.call({length: 2 ** 52}, 1)", Killed),
    ("[].copyWithin.call({length: 2 ** 53 - 1}, 1, 0)", Killed),
    ("[].slice.call({length: 2 ** 32 - 1})", Killed),
    ("new Array(1e9) + ''", Killed),
    ("new Array(2 ** 32 - 1).sort()", Killed),
    ("('a'.repeat(1e5) + 'b').repeat(100).indexOf('a'.repeat(1e5) + 'c')", Killed),
    ("let a = [1]; for (let i = 0; i < 40; i++) a = [a, a]; JSON.stringify(a)", Killed),
    ("const big = 'ab'.repeat(5e6); for (;;) big.split('c');", Killed),
    ("const big = 'ab'.repeat(5e6); for (;;) big.toLowerCase();", Killed),
    ("const big = 'ab'.repeat(5e6); for (;;) big.replaceAll('c', 'd');", Killed),
    // What is not theirs to change.
    ("Object.prototype.x = 1", REFUSED),
    ("Array.prototype.map = () => 1", REFUSED),
    ("JSON.parse = () => 1", REFUSED),
    ("globalThis.x = 1", REFUSED),
    ("state.__proto__.x = 1", REFUSED),
    ("Object.setPrototypeOf(Object.prototype, {})", REFUSED),
    ("delete globalThis.Object", REFUSED),
    ("(() => {}).constructor.prototype.call = 1", REFUSED),
    ("console.log = 1", REFUSED),
    ("undeclared = 1", REFUSED),
    // What is not there.
    ("fetch('http://localhost')", Fault("ReferenceError")),
    ("require('fs')", Fault("ReferenceError")),
    ("process.exit()", Fault("ReferenceError")),
    ("setTimeout(() => {}, 0)", Fault("ReferenceError")),
    ("std.loadFile('/etc/passwd')", Fault("ReferenceError")),
    ("new Uint8Array(1e9)", Fault("ReferenceError")),
    ("new Proxy({}, {})", Fault("ReferenceError")),
    ("import('fs')", Harmless),
    // Promises, and what else does not come.
    ("return new Promise(() => {})", Fault("a promise")),
    ("Promise.resolve().then(() => { while (true) {} })", Harmless),
    ("for (let i = 0; i < 1000; i++) console.log('x'.repeat(10000))", Harmless),
    ("return {toJSON() { while (true) {} }}", TIME),
    // What is thrown.
    ("throw {toJSON() { while (true) {} }}", Fault("threw object")),
    ("throw Object.defineProperty(new Error(), 'message', {get() { while (true) {} }})", Fault("")),
    ("throw Object.defineProperty(new Error(), 'stack', {get() { while (true) {} }})", Fault("")),
    ("throw Object.defineProperty(new Error(), 'name', {get() { while (true) {} }})", Fault("")),
    ("throw new Error('x'.repeat(1e7))", Fault("Error: xxx")),
    ("throw Symbol('x')", Fault("threw symbol")),
];

async fn run(shop: &Shop, body: &str) -> Result<Option<String>, WorkerError> {
    let code = format!(
        "export default {{source: {{log: true}}, handlers: {{e: (state, event) => {{ {body} }} }} }}"
    );
    let applied = shop.apply(&code, None, &[("e", "{}")]).await?;
    Ok(applied.fault.map(|fault| fault.message))
}

#[tokio::test(flavor = "multi_thread")]
async fn each_ends_and_the_next_is_answered() {
    let shop = Shop::open();
    let mut wrong = Vec::new();
    for (body, end) in CASES {
        let ended = tokio::time::timeout(Duration::from_secs(25), run(&shop, body)).await;
        let ended = ended.expect("it ends");
        let as_it_should = match (&ended, end) {
            (Ok(Some(message)), Fault(expected)) => message.contains(expected),
            (Ok(None), Harmless) | (Ok(Some(_)), Killed) | (Err(WorkerError::Stuck(_)), Killed) => {
                true
            }
            _ => false,
        };
        if !as_it_should {
            wrong.push(format!("{body}: {end:?}, but {ended:?}"));
        }
        let next = run(&shop, "state.n = 1").await;
        assert!(matches!(next, Ok(None)), "after {body}: {next:?}");
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
