import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import type { Run } from '../../src/api/contract/policy/runs.ts';
import { ServiceClient } from '../../src/cli/service/service-client.ts';
import type { TestGuest } from '../../scripts/guest/image.ts';
import type { CommandLine, RunningService } from '../command-line.ts';
import type { Story } from '../story.ts';
import type { VaultPlace } from '../vault-place.ts';
import { FastClock, hourText } from './fast-clock.ts';
import { Guests } from './guests.ts';
import { keeping } from './keeping.ts';
import { byHour, contradictions, dayTable, outcomeOf } from './outcome.ts';

const SERVICE = join(import.meta.dirname, 'service.ts');
const POLICY = `name: hourly
selector: { all: true }
vault: demo
schedule: { every: 1h }
rpo: 2h
`;
const HOURS = 24;
const KILL_AT = 7;
const OUTAGE_AT = 12.5;
const NEW_VM_AT = 17.2;
const LOOK_MS = 500;
/** Into a backup that has just begun. */
const KILL_AFTER_MS = 300;

interface DayParts {
  readonly story: Story;
  readonly commands: CommandLine;
  readonly folder: string;
  readonly place: VaultPlace;
  readonly guest: TestGuest;
}

/** A day of a policy, hour by hour. */
export class Day implements AsyncDisposable {
  private readonly parts: DayParts;
  private readonly guests: Guests;
  private service: RunningService | undefined;
  private clock = new FastClock(0);
  /** The last hour that was told. */
  private toldMs = 0;

  constructor(parts: DayParts) {
    this.parts = parts;
    this.guests = new Guests(parts.folder, parts.guest, parts.commands);
  }

  async isPrepared(signal: AbortSignal): Promise<void> {
    const { story, commands, folder, place } = this.parts;
    story.line('Hyperkeep: a day of a policy, in about three minutes.');
    story.line(`The vault is ${place.location}; everything else is in ${folder}.`);
    story.chapter('Two VMs, and a policy that is written down once');
    this.service = await commands.serve(signal);
    await commands.run(
      [
        ...['vault', 'create', 'demo', '--location', place.location, ...place.words],
        ...['--recovery-file', join(folder, 'recovery.txt')],
      ],
      signal,
    );
    for (const name of ['shop', 'mail', 'wiki']) {
      await this.guests.prepare(name);
    }
    const ids = [await this.guests.start('shop', signal), await this.guests.start('mail', signal)];
    await Promise.all(ids.map(async (id) => this.guests.isReady(id, signal)));
    await commands.show(['status'], signal, [0, 1]);
    const file = join(folder, 'policies.yaml');
    await writeFile(file, POLICY);
    for (const line of POLICY.trimEnd().split('\n')) {
      story.say(`  | ${line}`);
    }
    await commands.show(['apply', '-f', file], signal);
  }

  async begins(signal: AbortSignal): Promise<void> {
    const { story } = this.parts;
    story.chapter('The day begins: from here on nobody takes a backup by hand');
    await this.service?.stop();
    this.service = undefined;
    story.say('Only the clock by which policies fire runs fast: an hour takes six seconds.');
    story.say('It belongs to the demo; the service has no such setting. Hours are UTC.');
    this.clock = new FastClock(Date.now());
    await this.serves(signal);
    await this.passes(KILL_AT, signal);
  }

  async isKilled(signal: AbortSignal): Promise<void> {
    const { story } = this.parts;
    story.chapter('The service is killed in the middle of a backup');
    await this.backupBegins(signal);
    await delay(KILL_AFTER_MS, undefined, { signal });
    await this.service?.kill();
    this.service = undefined;
    story.say(`${this.now()}  kill -9: no service any more. The guests go on.`);
    await this.serves(signal);
    story.say(`${this.now()}  The service is back, and goes on by itself.`);
    await this.passes(OUTAGE_AT, signal);
  }

  async losesItsStore(signal: AbortSignal): Promise<void> {
    const { story, place } = this.parts;
    story.chapter('The store goes away for an hour');
    const comeBack = await place.goAway();
    story.say(`${this.now()}  The S3 server is gone.`);
    await this.passes(this.clock.hours + 1, signal);
    await comeBack();
    story.say(`${this.now()}  The S3 server is back. Nobody tells the service.`);
    await this.passes(NEW_VM_AT, signal);
  }

  async getsAnotherVm(signal: AbortSignal): Promise<void> {
    const { story } = this.parts;
    story.chapter('Somebody starts another VM, and tells the backup nothing');
    await this.guests.start('wiki', signal);
    story.say(`${this.now()}  wiki boots. The policy says: all.`);
    await this.passes(HOURS, signal);
  }

  async ends(signal: AbortSignal): Promise<void> {
    const { story, commands } = this.parts;
    story.chapter('The day is over');
    await commands.run(['policy', 'pause', 'hourly'], signal);
    await this.isQuiet(signal);
    await commands.run(['policy', 'resume', 'hourly'], signal);
  }

  async isCounted(signal: AbortSignal): Promise<void> {
    const { story, commands } = this.parts;
    const client = await this.client(signal);
    const runs = await this.runs(signal);
    const { points } = await client.call('listPoints', { query: { refresh: 'true' } }, signal);
    story.line();
    story.line(dayTable(runs, this.guests.names));
    const wrong = contradictions(runs, points);
    if (wrong.length > 0) {
      throw new Error(`Runs and points do not agree:\n${wrong.join('\n')}`);
    }
    const sealed = runs.filter(({ state }) => state === 'sealed');
    for (const name of this.guests.names) {
      if (!sealed.some(({ vmName }) => vmName === name)) {
        throw new Error(`${name} has no sealed run.`);
      }
    }
    story.say(
      `${String(sealed.length)} of ${String(runs.length)} runs are sealed, each with exactly one point.`,
    );
    const again = sealed.find(({ attempt }) => attempt > 1) ?? sealed.at(-1);
    const how = (again?.attempt ?? 1) > 1 ? 'that needed another attempt' : 'of the last run';
    story.say(`Every byte and every chunk id of the one ${how}:`);
    await commands.show(['verify', again?.pointId ?? '', '--level', '3'], signal);
    await commands.show(['status'], signal, [0, 1]);
  }

  async keeps(signal: AbortSignal): Promise<void> {
    const { story, commands, folder } = this.parts;
    const client = await this.client(signal);
    // Now and then from here on: the fast clock would add a point while one looks.
    const policy = POLICY.replace('every: 1h', 'every: 30d');
    await keeping({ story, commands, folder, client, policy }, signal);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.guests.names.length > 0) {
      // A killed one leaves guests and a database, which the next one knows.
      this.service ??= await this.parts.commands.serve(new AbortController().signal);
      await this.guests.stop();
    }
    await this.service?.stop();
  }

  private async serves(signal: AbortSignal): Promise<void> {
    const program = ['--disable-warning=ExperimentalWarning', SERVICE, String(this.clock.beganMs)];
    this.service = await this.parts.commands.serveBy(program, signal);
  }

  /** Tells each hour whose runs have ended, until this hour. */
  private async passes(hour: number, signal: AbortSignal): Promise<void> {
    while (this.clock.hours < hour) {
      await delay(LOOK_MS, undefined, { signal });
      this.tell(await this.runs(signal));
    }
  }

  private tell(runs: readonly Run[]): void {
    for (const [fireAtMs, own] of byHour(runs)) {
      if (fireAtMs > this.toldMs) {
        if (!own.every(hasEnded)) {
          return;
        }
        this.toldMs = fireAtMs;
        const parts = own
          .sort((a, b) => a.vmName.localeCompare(b.vmName))
          .map((run) => `${run.vmName} ${outcomeOf(run)}`);
        this.parts.story.say(`${hourText(fireAtMs)}  ${parts.join(' · ')}`);
      }
    }
  }

  private async isQuiet(signal: AbortSignal): Promise<void> {
    for (;;) {
      const runs = await this.runs(signal);
      this.tell(runs);
      if (!runs.some(({ state }) => state === 'queued' || state === 'running')) {
        return;
      }
      await delay(LOOK_MS, undefined, { signal });
    }
  }

  private async backupBegins(signal: AbortSignal): Promise<void> {
    const began = Promise.withResolvers<undefined>();
    const { service } = this;
    if (service === undefined) {
      throw new Error('There is no service.');
    }
    service.onLog = (line): void => {
      if (line.includes('"job.started"')) {
        began.resolve(undefined);
      }
    };
    const stop = (): void => {
      began.reject(signal.reason);
    };
    signal.addEventListener('abort', stop, { once: true });
    await began.promise;
    signal.removeEventListener('abort', stop);
  }

  private async client(signal: AbortSignal): Promise<ServiceClient> {
    return ServiceClient.locate({ homeFolder: join(this.parts.folder, 'home') }, signal);
  }

  private async runs(signal: AbortSignal): Promise<Run[]> {
    const client = await this.client(signal);
    return (await client.call('listRuns', { query: { limit: '1000' } }, signal)).runs;
  }

  private now(): string {
    return hourText(this.clock.nowMs());
  }
}

function hasEnded({ state }: Run): boolean {
  return state === 'sealed' || state === 'skipped' || state === 'failed';
}
