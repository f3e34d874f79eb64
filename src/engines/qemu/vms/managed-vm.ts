import { join } from 'node:path';
import { Fault, isFault, systemCode } from '../../../kernel/fault.ts';
import { access, readFile } from '../../../kernel/files/files.ts';
import { VmDefinition } from '../../../vm/definition.ts';
import { ChangeLog } from '../state/change-log.ts';
import { FileLock } from '../../../kernel/files/file-lock.ts';
import type { VmPaths } from '../state/vm-paths.ts';
import {
  damagedText,
  loadVmState,
  parseJson,
  storeVmState,
  type DiskState,
  type VmState,
} from '../state/vm-state.ts';

/**
 * A VM whose action lock we hold. VMs are touched only through it, so that two services, or a job
 * that was given up without knowing it, never act on one VM at once.
 */
export class ManagedVm implements AsyncDisposable {
  readonly paths: VmPaths;
  private readonly lock: FileLock;
  private current: VmState;
  private described: VmDefinition;

  private constructor(
    paths: VmPaths,
    lock: FileLock,
    loaded: { readonly state: VmState; readonly definition: VmDefinition },
  ) {
    this.paths = paths;
    this.lock = lock;
    this.current = loaded.state;
    this.described = loaded.definition;
  }

  /**
   * Waits up to `waitMs` for the lock.
   *
   * @throws Fault `engine.vm-busy`, `engine.vm-not-found`, `engine.state-invalid`
   */
  static async open(
    paths: VmPaths,
    vmId: string,
    waitMs: number,
    signal: AbortSignal,
  ): Promise<ManagedVm> {
    const lock = await FileLock.take(paths.actionLock, waitMs, signal).catch((error: unknown) => {
      throw systemCode(error) === 'ENOENT' ? notFound(vmId) : error;
    });
    if (lock === undefined) {
      throw busy(vmId, 'Another action on the VM is going on; try again when it has ended.');
    }
    try {
      return new ManagedVm(paths, lock, await loadVm(paths, vmId));
    } catch (error) {
      await lock.release();
      throw error;
    }
  }

  get state(): VmState {
    return this.current;
  }

  get definition(): VmDefinition {
    return this.described;
  }

  get name(): string {
    return this.described.name;
  }

  /** The disks that recovery points include, and the variable store. */
  get tracked(): DiskState[] {
    return this.current.disks.filter(({ excluded }) => !excluded);
  }

  /** Saves the current state with `change`; durable when it returns. */
  async save(change: Partial<VmState>): Promise<void> {
    await this.replace({ ...this.current, ...change });
  }

  /** Forgets the job whose frozen state is in use. @returns its token */
  async dropHolder(): Promise<string | undefined> {
    const { holder, ...rest } = this.current;
    if (holder !== undefined) {
      await this.replace(rest);
    }
    return holder;
  }

  private async replace(next: VmState): Promise<void> {
    await storeVmState(this.paths.state, next);
    this.current = next;
  }

  /** Saves what `change` makes of each tracked disk. */
  async saveDisks(
    change: (disk: DiskState) => DiskState,
    more: Partial<Omit<VmState, 'disks'>> = {},
  ): Promise<void> {
    const disks = this.current.disks.map((disk) => (disk.excluded ? disk : change(disk)));
    await this.save({ ...more, disks });
  }

  async saveDisk(changed: DiskState, more: Partial<Omit<VmState, 'disks'>> = {}): Promise<void> {
    const disks = this.current.disks.map((disk) => (disk.id === changed.id ? changed : disk));
    await this.save({ ...more, disks });
  }

  /** Sets the definition, with disks that have grown since. */
  describe(definition: VmDefinition): void {
    this.described = definition;
  }

  changeLog(disk: DiskState): ChangeLog {
    return new ChangeLog(join(this.paths.changes, disk.id), disk.trackingId);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.lock.release();
  }
}

/** Reads definition and state without a lock: for showing, not for acting. */
export async function loadVm(
  paths: VmPaths,
  vmId: string,
): Promise<{ readonly definition: VmDefinition; readonly state: VmState }> {
  const state = await loadVmState(paths.state, vmId).catch(async (error: unknown) => {
    throw (await isStateGone(error, paths)) ? stateGone(paths, vmId) : error;
  });
  return { definition: await loadDefinition(paths, vmId), state };
}

/** Both files of a VM exist together: a VM that is released loses its folder at once. */
async function isStateGone(error: unknown, { definition }: VmPaths): Promise<boolean> {
  return (
    isFault(error, 'engine.vm-not-found') &&
    (await access(definition).then(
      () => true,
      () => false,
    ))
  );
}

function stateGone({ state }: VmPaths, vmId: string): Fault {
  return new Fault('engine.state-invalid', damagedText(state, 'gone'), { vmId });
}

/** @throws Fault `engine.vm-not-found`, `engine.state-invalid` */
export async function loadDefinition(paths: VmPaths, vmId: string): Promise<VmDefinition> {
  const text = await readFile(paths.definition, 'utf8').catch((error: unknown) => {
    // The VM was removed since.
    throw systemCode(error) === 'ENOENT' ? notFound(vmId) : error;
  });
  const definition = VmDefinition.safeParse(parseJson(text));
  if (!definition.success || definition.data.id !== vmId) {
    throw new Fault('engine.state-invalid', damagedText(paths.definition), { vmId });
  }
  return definition.data;
}

function notFound(vmId: string): Fault {
  return new Fault('engine.vm-not-found', `There is no VM ${vmId}.`, { vmId });
}

export function busy(vmId: string, message: string): Fault {
  return new Fault('engine.vm-busy', message, { vmId });
}
