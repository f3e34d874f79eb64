import type { EngineParts } from '../vms/engine-parts.ts';
import { Guard } from '../process/guard.ts';
import type { ManagedVm } from '../vms/managed-vm.ts';
import type { QmpClient } from '../qmp/qmp-client.ts';

/** How the guest took part in a freeze. */
export interface GuestPart {
  readonly isConsistent: boolean;
  /** Why it did not, for people. */
  readonly reason?: string;
  readonly frozenMs: number;
  /** True if the guest said that it is thawed, or was never asked to freeze. */
  readonly isThawed: boolean;
}

/** Returns why file systems will not be frozen; undefined if there is an agent to ask. */
export async function whyNoAgent(
  vm: ManagedVm,
  qmp: QmpClient,
  signal: AbortSignal,
): Promise<string | undefined> {
  if (!vm.definition.guestAgent) {
    return 'the VM has no guest agent';
  }
  const channels = await qmp.execute('query-chardev', {}, signal);
  const channel = channels.find(({ label }) => label === 'agent');
  return channel?.['frontend-open'] === true ? undefined : 'no guest agent is running in the guest';
}

/** Starts the guard; returns undefined if there is nothing to guard. */
export async function startGuard(
  parts: EngineParts,
  vm: ManagedVm,
  whyNot: string | undefined,
): Promise<Guard | undefined> {
  return whyNot === undefined
    ? Guard.start({
        agentSocket: vm.paths.agent,
        frozenMsMax: parts.limits.frozenMsMax,
        freezeMsMax: parts.limits.freezeMsMax,
      })
    : undefined;
}

/** What happens between a guest's freeze and its thaw. */
interface WhileFrozen {
  /** How long the guest may take to freeze; default: the limits of the guard. */
  readonly withinMs: number | undefined;
  /** @param whyNot why file systems are not frozen; undefined if they are, or if nobody asked */
  readonly instant: (whyNot: string | undefined) => Promise<void>;
}

/**
 * Calls `instant` while the guest's file systems are frozen, if they can be. They are thawed in any
 * case: by us, or by the guard if we are gone or late.
 *
 * @param isReady whether the guard takes orders
 */
export async function whileFrozen(
  parts: EngineParts,
  guard: Guard | undefined,
  isReady: boolean,
  { withinMs, instant }: WhileFrozen,
): Promise<GuestPart> {
  if (guard === undefined) {
    await instant(undefined);
    return { isConsistent: false, frozenMs: 0, isThawed: true };
  }
  const whyNot = isReady ? await guard.freeze(withinMs) : 'the guard process did not start';
  await parts.step('guest-frozen');
  let outcome;
  try {
    await instant(whyNot);
  } finally {
    outcome = await guard.thaw();
  }
  const { isThawed, frozenMs } = outcome;
  if (whyNot !== undefined) {
    return { isConsistent: false, reason: whyNot, frozenMs, isThawed };
  }
  return outcome.wasFrozenThroughout
    ? { isConsistent: true, frozenMs, isThawed }
    : {
        isConsistent: false,
        reason: 'the guest was not frozen until the snapshot was done',
        frozenMs,
        isThawed,
      };
}
