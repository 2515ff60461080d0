// What Ranger's scripts may call beside JavaScript itself: methods of Java's strings, lists and maps, and the polyfill
// "intersects" (RangerCommonConstants.SCRIPT_POLYFILL_INTERSECTS). It returns what the Go side builds values with.
(function () {
  'use strict';

  const define = Object.defineProperty; // scripts do not see it

  function add(target, methods) {
    for (const name in methods) {
      define(target, name, {value: methods[name], writable: true, configurable: true});
    }
    return target;
  }

  function present(x) {
    if (x == null) throw new TypeError('the argument is null');
    return x;
  }

  const has = Function.prototype.call.bind(Object.prototype.hasOwnProperty);

  add(Array.prototype, {
    contains(x) { return this.indexOf(x) > -1; },
    containsAll(x) { return present(x).every(e => this.indexOf(e) > -1); },
    get(i) { return this[i]; },
    intersects(x) { return x != null && this.filter(e => x.indexOf(e) > -1).length > 0; },
    isEmpty() { return this.length === 0; },
    size() { return this.length; },
  });

  add(String.prototype, {
    contains(x) { return this.indexOf(present(x)) > -1; },
    equals(x) { return x === this; },
    equalsIgnoreCase(x) {
      return typeof x === 'string' && x.length === this.length &&
        (x.toUpperCase() === this.toUpperCase() || x.toLowerCase() === this.toLowerCase());
    },
    isEmpty() { return this.length === 0; },
  });

  return {
    map: add({}, {
      containsKey(k) { return has(this, k); },
      get(k) { return has(this, k) ? this[k] : null; },
      getOrDefault(k, otherwise) { return has(this, k) ? this[k] : otherwise; },
      has(k) { return has(this, k); },
      isEmpty() { return Object.keys(this).length === 0; },
      keySet() { return Object.keys(this); },
      size() { return Object.keys(this).length; },
    }),
    date(ms) {
      return add({}, {
        after(d) { return ms > d.getTime(); },
        before(d) { return ms < d.getTime(); },
        equals(d) { return d != null && ms === +d; },
        getTime() { return ms; },
        valueOf() { return ms; },
      });
    },
  };
})()
