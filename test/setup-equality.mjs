// Jest compares byte arrays key by key: 8 MiB take seconds and more than 1 GiB of memory, which
// makes every later start of a program slower too.
globalThis.expect.addEqualityTesters([
  function areSameBytes(one, other) {
    const areBytes = one instanceof Uint8Array && other instanceof Uint8Array;
    // Different kinds of arrays: the matcher decides whether that matters.
    return areBytes && one.constructor === other.constructor
      ? Buffer.compare(one, other) === 0
      : undefined;
  },
]);
