/**
 * A service that does one thing to a VM and may be killed at a step of it: the other end of
 * engine-service.ts. Called with one parameter, an EngineService as JSON.
 */
import { readFile } from 'node:fs/promises';
import process from 'node:process';
import { QemuEngine } from '../../../src/engines/qemu/qemu-engine.ts';
import { guardsOf } from './guards.ts';

export interface EngineService {
  readonly stateFolder: string;
  readonly runFolder: string;
  readonly vm: string;
  readonly action: 'backup' | 'start' | 'stop' | 'release';
  readonly crashConsistent: boolean;
  readonly killAt: string;
  readonly kill: readonly ('service' | 'qemu' | 'guard')[];
}

const { signal } = new AbortController();
const service = JSON.parse(process.argv[2] ?? '') as EngineService;
const engine = new QemuEngine({
  stateFolder: service.stateFolder,
  runFolder: service.runFolder,
  limits: { freeBytesMin: 0 },
  onStep: async (step) => {
    if (step !== service.killAt) {
      return;
    }
    process.stdout.write(`reached ${step}\n`);
    for (const [victim, pid] of await victims()) {
      if (service.kill.includes(victim)) {
        process.kill(pid, 'SIGKILL');
      }
    }
    if (service.kill.includes('service')) {
      process.kill(process.pid, 'SIGKILL');
      // The signal is on its way: nothing may be done after this.
      await new Promise(() => undefined);
    }
  },
});

async function victims(): Promise<['qemu' | 'guard', number][]> {
  const paths = engine.paths(service.vm);
  const text = await readFile(paths.pid, 'utf8').catch(() => '');
  const found: ['qemu' | 'guard', number][] = text === '' ? [] : [['qemu', Number.parseInt(text)]];
  for (const pid of await guardsOf(process.pid)) {
    found.push(['guard', pid]);
  }
  return found;
}

try {
  if (service.action === 'start') {
    await engine.start(service.vm, signal);
  } else if (service.action === 'stop') {
    await engine.stop(service.vm, { force: true, wait: true }, signal);
  } else if (service.action === 'release') {
    await engine.release(service.vm, signal);
  } else {
    const { crashConsistent } = service;
    const frozen = await engine.freeze(service.vm, { jobToken: 'backup', crashConsistent }, signal);
    await frozen[Symbol.asyncDispose]();
  }
  process.stdout.write('done\n');
} catch (error) {
  process.stdout.write(`failed: ${String(error)}\n`);
}
await engine.close();
