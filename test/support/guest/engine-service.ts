import { spawn } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import type { EngineService } from './engine-service.main.ts';
import type { QemuLab } from './qemu-lab.ts';

const program = fileURLToPath(new URL('./engine-service.main.ts', import.meta.url));

export type Victims = EngineService['kill'];

/** Runs one action in a separate service, which may not survive it. @returns its output */
export async function runService(lab: QemuLab, service: Partial<EngineService>): Promise<string> {
  const whole: EngineService = {
    ...lab.folders,
    vm: lab.vm,
    action: 'backup',
    crashConsistent: true,
    killAt: '',
    kill: [],
    ...service,
  };
  const child = spawn(process.execPath, [program, JSON.stringify(whole)], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  let said = '';
  child.stdout.setEncoding('utf8').on('data', (text: string) => (said += text));
  await new Promise((resolve) => child.once('close', resolve));
  return said;
}
