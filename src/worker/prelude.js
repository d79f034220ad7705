// What the code of a projector finds around it: a language without a clock, chance or I/O, whose parts cannot be
// changed. Answers what the worker itself calls.
(() => {
  'use strict';
  const refuse = (what, instead) => () => {
    throw new TypeError(`${what} is not there: a projector gives the same for the same events. ${instead}`);
  };
  const timely = 'Use event.occurred_at.';
  const Clock = Date;
  const Fixed = function Date(...args) {
    if (!new.target || args.length === 0) refuse('The time of day', timely)();
    return Reflect.construct(Clock, args, new.target);
  };
  Fixed.prototype = Clock.prototype;
  Fixed.UTC = Clock.UTC;
  Fixed.parse = Clock.parse;
  Fixed.now = refuse('The time of day', timely);
  Clock.prototype.constructor = Fixed;
  globalThis.Date = Fixed;
  Math.random = refuse('Chance', 'Use what the event says.');

  // State is what JSON can say, so that it is the same after it was kept.
  const keep = {
    Date: 'date.toISOString()', Map: 'Object.fromEntries(map)', Set: '[...set]', RegExp: 'regexp.source',
    Error: 'error.message', Promise: 'what it resolves to',
  };
  for (const [name, instead] of Object.entries(keep)) {
    Object.defineProperty(globalThis[name].prototype, 'toJSON', {
      value() { throw new TypeError(`a ${name} cannot be part of a state: keep ${instead}`); },
    });
  }
  const { isSafeInteger, isInteger } = Number;
  const { parse, rawJSON } = JSON;
  const digits = /^-?[0-9]+$/;
  BigInt.prototype.toJSON = function toJSON() { return rawJSON(this.toString()); };
  const exact = (key, value, { source }) =>
    typeof value === 'number' && isInteger(value) && !isSafeInteger(value) && digits.test(source)
      ? BigInt(source) : value;

  const lines = [];
  let room = 0;
  const shown = (value) => {
    if (typeof value === 'string') return value;
    try { return JSON.stringify(value) ?? String(value); } catch (error) { return String(error); }
  };
  const log = (...values) => {
    if (lines.length >= room) return;
    lines.push(values.map(shown).join(' '));
  };
  globalThis.console = { log, info: log, warn: log, error: log, debug: log };

  const frozen = new Set();
  const freeze = (value) => {
    if (value === null || (typeof value !== 'object' && typeof value !== 'function') || frozen.has(value)) return;
    frozen.add(value);
    for (const key of Reflect.ownKeys(value)) {
      const { value: member, get, set } = Reflect.getOwnPropertyDescriptor(value, key);
      [member, get, set].forEach(freeze);
    }
    freeze(Reflect.getPrototypeOf(value));
    Object.freeze(value);
  };
  const hidden = [
    function* () {}, async function () {}, async function* () {}, [][Symbol.iterator](), ''[Symbol.iterator](),
    new Map().entries(), new Set().values(), /a/[Symbol.matchAll]('a'),
  ];
  [globalThis, ...hidden].forEach(freeze);

  return {
    parse: (text) => parse(text, exact),
    // Opens the console for so many lines.
    open: (count) => { room = count; lines.length = 0; },
    lines,
  };
})()
