import { access, open } from '../../../kernel/files/files.ts';

export interface AcceleratorChoice {
  readonly accelerator: 'kvm' | 'tcg';
  /** For people. */
  readonly reason: string;
}

/**
 * Chooses KVM only if /dev/kvm opens and the processor's own module is loaded. Other modules
 * (kvm_pvm) offer the device too, start a guest and then emulate its kernel wrongly, so neither the
 * file nor a starting QEMU is proof enough.
 *
 * @param root `/` except in tests
 */
export async function chooseAccelerator(
  root = '/',
  architecture: string = process.arch,
): Promise<AcceleratorChoice> {
  if (!(await opens(`${root}dev/kvm`))) {
    return { accelerator: 'tcg', reason: '/dev/kvm cannot be opened' };
  }
  if (architecture === 'arm64') {
    return { accelerator: 'kvm', reason: '/dev/kvm opens' };
  }
  for (const module of ['kvm_intel', 'kvm_amd']) {
    if (await exists(`${root}sys/module/${module}`)) {
      return { accelerator: 'kvm', reason: `/dev/kvm opens and ${module} is loaded` };
    }
  }
  return {
    accelerator: 'tcg',
    reason: '/dev/kvm is there but neither kvm_intel nor kvm_amd is loaded',
  };
}

async function opens(path: string): Promise<boolean> {
  try {
    await using device = await open(path, 'r+');
    return device.fd >= 0;
  } catch {
    // For whatever reason, it cannot be used.
    return false;
  }
}

async function exists(path: string): Promise<boolean> {
  return access(path).then(
    () => true,
    // An unreadable file counts as missing.
    () => false,
  );
}
