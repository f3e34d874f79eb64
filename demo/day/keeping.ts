import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import type { ServiceClient } from '../../src/cli/service/service-client.ts';
import type { CommandLine } from '../command-line.ts';
import type { Story } from '../story.ts';

const LOOK_MS = 300;
const KEPT = 4;

interface KeepingParts {
  readonly story: Story;
  readonly commands: CommandLine;
  readonly folder: string;
  readonly client: ServiceClient;
  /** Text of the policy that goes on. */
  readonly policy: string;
}

/** Few points are kept, a prune gives the space of the others back, and a copy follows. */
export async function keeping(parts: KeepingParts, signal: AbortSignal): Promise<void> {
  const { story, commands, folder, client, policy } = parts;
  story.chapter('Few points are kept, their space comes back, and a copy follows');
  const added = [
    `retention: { last: ${String(KEPT)} }`,
    '---',
    'care:',
    '  - vault: demo',
    `    copies: [{ name: offsite, location: "${join(folder, 'offsite')}", within: 12h }]`,
  ];
  const file = join(folder, 'policies.yaml');
  await writeFile(file, `${policy}${added.join('\n')}\n`);
  for (const line of added) {
    story.say(`  | ${line}`);
  }
  await commands.run(['apply', '-f', file], signal);
  const copied = await copyFollows(parts, signal);
  story.say(`The copy has every point: ${String(copied.points)}.`);

  const retired = (await commands.run(['policy', 'retire', 'hourly', '--yes'], signal)) as {
    readonly retired: readonly string[];
  };
  const left = await pointsOf(client, signal);
  story.say(`${String(retired.retired.length)} points are given up, ${String(left)} are left.`);
  if (retired.retired.length === 0 || left >= copied.points) {
    throw new Error('Retention gave nothing up.');
  }
  story.say('By itself a prune waits a day before it removes anything. Here somebody does not:');
  const rules = ['--young', '0', '--all-points-are-listed', '--yes'];
  await commands.show(['vault', 'prune', 'demo', ...rules], signal);
  await copyFollows(parts, signal);
  await commands.show(['care', 'list'], signal);
}

/** Has the copy brought up to date by the service. */
async function copyFollows(
  { commands, client }: KeepingParts,
  signal: AbortSignal,
): Promise<{ readonly points: number }> {
  const started = (await commands.run(['care', 'run', 'demo', 'copy offsite'], signal)) as {
    readonly run: { readonly id: string };
  };
  for (;;) {
    const { runs } = await client.call('listCareRuns', { query: { vault: 'demo' } }, signal);
    const run = runs.find(({ id }) => id === started.run.id);
    if (run?.state === 'done') {
      return { points: await pointsOf(client, signal) };
    }
    if (run?.state === 'failed' || run?.state === 'skipped') {
      throw new Error(`The copy does not follow: ${run.fault?.message ?? run.why ?? ''}`);
    }
    await delay(LOOK_MS, undefined, { signal });
  }
}

async function pointsOf(client: ServiceClient, signal: AbortSignal): Promise<number> {
  return (await client.call('listPoints', { query: { refresh: 'true' } }, signal)).points.length;
}
