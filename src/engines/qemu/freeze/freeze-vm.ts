import type { FrozenVm } from '../../engine.ts';
import { withSizes } from '../layers/disk-sizes.ts';
import { freezeStopped } from '../layers/freeze-stopped.ts';
import { removeLeftovers } from '../layers/layer-files.ts';
import { frozenNvram } from '../layers/nvram-image.ts';
import { assertNoQuestion, assertUnwritten } from '../layers/outside-changes.ts';
import { settle } from '../merge/settle.ts';
import { plannedLayer } from '../state/disk-changes.ts';
import { ManagedVm } from '../vms/managed-vm.ts';
import { freezeRunning, type Instant } from './freeze-running.ts';
import { openFrozenDisks } from './frozen-disks.ts';
import { FrozenUse, type Freezing } from './frozen-use.ts';
import { writeLatencies } from './write-latency.ts';
import type { OverlayWatch } from './overlay-watch.ts';

/** How many layer numbers to try if files of others have their names. */
const LAYERS_TRIED = 16;

/** Freezes a VM and opens what was frozen. Calls `done` even if it fails. */
export async function freezeVm(
  freezing: Freezing,
  vmId: string,
  signal: AbortSignal,
): Promise<FrozenVm> {
  const { parts, paths, options, claim, done } = freezing;
  try {
    await using vm = await ManagedVm.open(paths, vmId, parts.limits.actionWaitMs, signal);
    claim.assertNewest(vm);
    const { session, questions } = await settle(parts, vm, { mayMerge: true }, signal);
    assertNoQuestion(vm, questions);
    const use = new FrozenUse(freezing, vm.definition);
    try {
      const { watch } = use;
      const instant =
        session === undefined
          ? await freezeOff(freezing, vm, watch, signal)
          : await freezeRunning(parts, vm, { qmp: session.qmp, watch, options }, signal);
      return await frozenVm(freezing, vm, { instant, use }, signal);
    } catch (error) {
      await use.abandon();
      throw error;
    }
  } catch (error) {
    await done();
    throw error;
  }
}

async function freezeOff(
  { parts, options }: Freezing,
  vm: ManagedVm,
  watch: OverlayWatch,
  signal: AbortSignal,
): Promise<Instant> {
  const startedAtMs = parts.clock.nowMs();
  await freezeStopped(parts, vm, options.jobToken, signal);
  // Its disks are at rest, so it is at the moment of the others, whenever that is.
  await options.meeting?.whenPrepared(signal);
  await options.meeting?.whenFrozen(vm.name, undefined, signal);
  // A start puts a layer on each disk, with the first number that no file has.
  await watch.expect(
    vm.tracked.flatMap((disk) =>
      Array.from({ length: LAYERS_TRIED }, (_, ahead) => {
        return { disk, layer: plannedLayer(disk, disk.nextLayer + ahead) };
      }),
    ),
  );
  await removeLeftovers(vm);
  return {
    takenAtMs: options.meeting === undefined ? startedAtMs : parts.clock.nowMs(),
    transactionMs: 0,
    consistency: 'powered-off',
    consistencyReason: 'the VM is powered off',
    guestFrozenMs: 0,
  };
}

interface Frozen {
  readonly instant: Instant;
  readonly use: FrozenUse;
}

/** Opens and describes what was frozen. */
async function frozenVm(
  { parts, options }: Freezing,
  vm: ManagedVm,
  { instant, use }: Frozen,
  signal: AbortSignal,
): Promise<FrozenVm> {
  const disks = await openFrozenDisks(vm, use, options.neededGenerations, signal);
  await parts.step('changes-logged');
  const nvram = await frozenNvram(vm, signal);
  const sizes = disks.map(({ diskId, sizeBytes }) => [diskId, sizeBytes] as const);
  const definition = await withSizes(vm, new Map(sizes));
  const { warnings } = vm.state;
  if (warnings.length > 0) {
    await vm.save({ warnings: [] });
  }
  const frozenDisks = vm.tracked;
  use.begin();
  return {
    ...instant,
    definition,
    ...(nvram === undefined ? {} : { nvram }),
    disks,
    warnings,
    ...(instant.consistency !== 'powered-off' && {
      guestWriteLatency: async (asked: AbortSignal) => {
        const session = parts.sessions.current(vm.definition.id);
        return session && writeLatencies(session.qmp, asked);
      },
    }),
    assertUnchanged: async () => assertUnwritten(vm, frozenDisks),
    [Symbol.asyncDispose]: use.giveBack,
  };
}
