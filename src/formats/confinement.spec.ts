import { execFileSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { confineTool } from './confinement.ts';

describe('confineTool', () => {
  it('sets limits of its own', () => {
    expect(confineTool('qemu-img', []).parameters).toContain('--nofile=1024');
  });

  it('never asks for more than this process may have', () => {
    const { file: limiter } = confineTool('true', []);
    const module = fileURLToPath(new URL('./confinement.ts', import.meta.url));
    const code = `const { confineTool } = await import(${JSON.stringify(module)});
      const { file, parameters } = confineTool('true', []);
      process.stdout.write(JSON.stringify([file, ...parameters]));`;
    const words = ['--nofile=64:64', process.execPath, '--input-type=module', '-e', code];
    const line = JSON.parse(execFileSync(limiter, words, { encoding: 'utf8' })) as string[];

    expect(line).toContain('--nofile=64');
    execFileSync(limiter, ['--nofile=64:64', ...line]);
  });
});
