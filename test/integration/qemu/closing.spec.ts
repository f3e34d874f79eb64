import { execFileSync } from 'node:child_process';
import { QemuLab } from '../../support/guest/qemu-lab.ts';

const { signal } = new AbortController();
/** Before anything is frozen, after the pivot, and with the frozen layers open. */
const STEPS = ['overlays-added', 'thawed', 'changes-logged'] as const;

function serversIn(folder: string): string {
  return execFileSync('sh', ['-c', 'pgrep -a qemu-nbd | grep -F "$1" || true', 'sh', folder])
    .toString()
    .trim();
}

describe('An engine that closes while a freeze is under way', () => {
  it.each(STEPS)('at %s ends the freeze, and leaves the VM to the next one', async (at) => {
    await using lab = await QemuLab.create();
    let closing: Promise<void> | undefined;
    const engine = lab.engine({
      onStep: (step) => {
        if (step === at) {
          closing ??= engine.close();
        }
      },
    });
    await engine.add(lab.definition, signal);
    await engine.start(lab.vm, signal);

    const frozen = await engine
      .freeze(lab.vm, { jobToken: 'first' }, signal)
      .catch(() => undefined);
    await closing;

    expect(serversIn(lab.folder)).toBe('');
    const [disk] = frozen?.disks ?? [];
    const read = disk?.reader.read(0, new Uint8Array(512), signal);
    await expect(read ?? Promise.reject(new Error('no freeze'))).rejects.toThrow();
    const next = lab.engine();
    await next.reconcile(signal);
    await using again = await next.freeze(lab.vm, { jobToken: 'second' }, signal);
    expect(again.disks).toHaveLength(2);
    expect(await next.get(lab.vm, signal)).toMatchObject({ status: 'running' });
  });

  it('begins no freeze any more', async () => {
    await using lab = await QemuLab.create();
    const engine = lab.engine();
    await engine.add(lab.definition, signal);
    await engine.close();
    await expect(engine.freeze(lab.vm, { jobToken: 'late' }, signal)).rejects.toMatchObject({
      name: 'AbortError',
    });
  });
});
