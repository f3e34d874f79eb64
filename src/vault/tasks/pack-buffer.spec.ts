import { newPackMemory, PackBuffer, SpareBuffers, SpareInputs } from './pack-buffer.ts';

describe('buffers of the last backup', () => {
  it('are used again where they are large enough', () => {
    const spare = new SpareBuffers();
    const buffer = new PackBuffer(newPackMemory(4096));
    spare.give([buffer]);

    expect(spare.take(8192)).not.toBe(buffer);
    spare.give([buffer]);
    expect(spare.take(4096)).toBe(buffer);
    expect(spare.take(4096)).not.toBe(buffer);
  });

  it('are let go of when something else needs the memory', () => {
    const spare = new SpareBuffers();
    const buffer = new PackBuffer(newPackMemory(4096));
    spare.give([buffer]);

    spare.release();

    expect(spare.take(4096)).not.toBe(buffer);
  });
});

describe('SpareInputs', () => {
  it('hands out again what was given back, and never the same twice', () => {
    const inputs = new SpareInputs();
    const [first, second] = [inputs.take(4096), inputs.take(4096)];
    expect(first).not.toBe(second);
    expect(first.byteLength).toBe(4096);

    inputs.give([first]);

    expect(inputs.take(4096)).toBe(first);
    inputs.give([first]);
    expect([first, second]).not.toContain(inputs.take(8192));
  });
});
