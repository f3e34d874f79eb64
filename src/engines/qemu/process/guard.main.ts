/**
 * The guard: a small process that owns the agent socket of one VM while its guest is frozen.
 *
 * It thaws when told to, when its pipe to the service closes (the service is dead) or after a
 * limit, whichever comes first. So a dead or hanging service never leaves a guest frozen.
 *
 * Called as `guard.main.ts SOCKET LIMIT_MS`; speaks lines of JSON on standard input and output, see
 * guard.ts.
 */
import process from 'node:process';
import { createInterface } from 'node:readline';
import { GuestAgent } from '../guest/guest-agent.ts';
import type { GuardOrder, GuardReport } from './guard.ts';

/** A freeze that was not answered may still happen: the thaw is repeated for this long. */
const THAW_MS_MAX = 60_000;
const THAW_TRY_MS = 5_000;

const [socketPath = '', limitText = '30000'] = process.argv.slice(2);
const { signal } = new AbortController();
let agent: GuestAgent | undefined;
let frozenAtMs: number | undefined;
let limit: NodeJS.Timeout | undefined;
let thawing: Promise<void> | undefined;

function report(said: GuardReport): void {
  process.stdout.write(`${JSON.stringify(said)}\n`);
}

type FreezeOrder = Extract<GuardOrder, { readonly order: 'freeze' }>;

async function freeze({ connectMs, freezeMs, withinMs }: FreezeOrder): Promise<void> {
  const endMs = performance.now() + withinMs;
  const atMost = (limitMs: number): number =>
    Math.max(1, Math.min(limitMs, endMs - performance.now()));
  try {
    agent = await GuestAgent.connect(socketPath, atMost(connectMs), signal);
    // An earlier client may have left the guest frozen: a second freeze would be refused.
    await agent.thaw(atMost(connectMs), signal);
  } catch (error) {
    report({ said: 'not-frozen', reason: messageOf(error) });
    return;
  }
  frozenAtMs = performance.now();
  limit = setTimeout(() => void thaw('limit'), Number(limitText));
  try {
    const fileSystems = await agent.freeze(atMost(freezeMs), signal);
    report({ said: 'frozen', fileSystems });
  } catch (error) {
    report({ said: 'not-frozen', reason: messageOf(error) });
    await thaw('failed');
  }
}

/** Thaws once: tries until the guest confirms. Then the guard has nothing more to do. */
async function thaw(why: 'told' | 'pipe' | 'limit' | 'failed'): Promise<void> {
  thawing ??= (async () => {
    clearTimeout(limit);
    if (frozenAtMs === undefined) {
      report({ said: 'thawed', why, frozenMs: 0 });
      return;
    }
    const startedMs = performance.now();
    while (performance.now() - startedMs < THAW_MS_MAX) {
      if (await thawOnce()) {
        report({ said: 'thawed', why, frozenMs: performance.now() - frozenAtMs });
        return;
      }
    }
    report({ said: 'not-thawed' });
  })();
  await thawing;
}

async function thawOnce(): Promise<boolean> {
  const startedMs = performance.now();
  try {
    agent ??= await GuestAgent.connect(socketPath, THAW_TRY_MS, signal);
    await agent.thaw(THAW_TRY_MS, signal);
    return true;
  } catch {
    // The agent did not answer in time or refused; a new connection drops a half-sent command.
    await agent?.close();
    agent = undefined;
    const restMs = Math.max(0, 200 - (performance.now() - startedMs));
    await new Promise((resolve) => setTimeout(resolve, restMs));
    return false;
  }
}

async function obey(line: string): Promise<void> {
  const order = JSON.parse(line) as GuardOrder;
  if (order.order === 'freeze') {
    await freeze(order);
  } else {
    await thaw('told');
    await leave();
  }
}

function thawAndLeave(): void {
  void thaw('pipe').then(leave);
}

async function leave(): Promise<void> {
  await agent?.close();
  process.exit(0);
}

function messageOf(error: unknown): string {
  return Error.isError(error) ? error.message : String(error);
}

// A bug of ours must not leave the guest frozen either.
process.on('uncaughtException', thawAndLeave);
// Nobody reads any more: the closed standard input says the same.
process.stdout.on('error', () => undefined);
for (const name of ['SIGTERM', 'SIGINT', 'SIGHUP'] as const) {
  process.on(name, thawAndLeave);
}
const orders = createInterface({ input: process.stdin });
orders.on('line', (line) => {
  obey(line).catch(thawAndLeave);
});
orders.on('close', thawAndLeave);
report({ said: 'ready' });
