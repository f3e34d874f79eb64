import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { chooseAccelerator } from './accelerator.ts';

describe('chooseAccelerator', () => {
  it.each([
    ['nothing is there', [], 'x64', 'tcg'],
    ['only the device is there', ['dev/kvm'], 'x64', 'tcg'],
    ['another module offers the device', ['dev/kvm', 'sys/module/kvm_pvm/x'], 'x64', 'tcg'],
    ['the module is there without the device', ['sys/module/kvm_amd/x'], 'x64', 'tcg'],
    ['Intel has both', ['dev/kvm', 'sys/module/kvm_intel/x'], 'x64', 'kvm'],
    ['AMD has both', ['dev/kvm', 'sys/module/kvm_amd/x'], 'x64', 'kvm'],
    ['the device is there on arm64', ['dev/kvm'], 'arm64', 'kvm'],
  ])('when %s', async (_, files, architecture, accelerator) => {
    const root = await mkdtemp('/tmp/hk-root-');
    for (const file of files) {
      await mkdir(join(root, file, '..'), { recursive: true });
      await writeFile(join(root, file), '');
    }

    const choice = await chooseAccelerator(`${root}/`, architecture);

    expect(choice.accelerator).toBe(accelerator);
    expect(choice.reason).not.toBe('');
    await rm(root, { recursive: true });
  });
});
