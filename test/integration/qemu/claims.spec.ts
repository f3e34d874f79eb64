import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import { QemuLab } from '../../support/guest/qemu-lab.ts';

const { signal } = new AbortController();
const ENGINE = new URL('../../../src/engines/qemu/qemu-engine.ts', import.meta.url).href;

/** Another service with the same engine folder, which claims the VM and holds it until it dies. */
async function claimingService(lab: QemuLab) {
  const code = `
    const { QemuEngine } = await import(${JSON.stringify(ENGINE)});
    const engine = new QemuEngine(${JSON.stringify(lab.folders)});
    const claim = await engine.claim(${JSON.stringify(lab.vm)}, 'job', new AbortController().signal);
    console.log(claim.fence);
    setInterval(() => undefined, 1000);
  `;
  const child = spawn(process.execPath, ['--input-type=module', '-e', code], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const [line] = (await once(createInterface({ input: child.stdout }), 'line')) as [string];
  return { child, fence: Number(line) };
}

describe('Two services with two databases on one engine folder', () => {
  it('a live claim is refused to the other, that of a dead one is taken over', async () => {
    await using lab = await QemuLab.create();
    const engine = lab.engine();
    await engine.add(lab.definition, signal);
    const { child, fence } = await claimingService(lab);
    const ended = once(child, 'exit');
    try {
      await expect(engine.claim(lab.vm, 'job', signal)).rejects.toMatchObject({
        code: 'engine.vm-busy',
      });
      // A process that hangs is not dead: it may continue at any time.
      child.kill('SIGSTOP');
      await expect(engine.claim(lab.vm, 'job', signal)).rejects.toMatchObject({
        code: 'engine.vm-busy',
      });
    } finally {
      child.kill('SIGKILL');
      await ended;
    }

    await using claim = await engine.claim(lab.vm, 'job', signal);
    expect(claim.fence).toBe(fence + 1);
    await using frozen = await engine.freeze(lab.vm, { jobToken: 'job', claim }, signal);
    expect(frozen.disks).toHaveLength(2);
  });
});
