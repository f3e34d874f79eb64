import { cpus, totalmem } from 'node:os';
import { ratio, STEPS, type Measurement, type Summary } from './comparison.ts';
import { SERVICE } from './service.ts';
import { versionsOfOthers } from './contenders.ts';
import type { IncrementReport } from './increments.ts';
import type { LinkFigures } from './links.ts';
import type { MachineBest } from './machine-best.ts';
import { isMet, type Target } from './targets.ts';

export interface Report {
  readonly machine: string;
  readonly images: string;
  readonly runs: number;
  readonly summaries: readonly Summary[];
  readonly measurements: readonly Measurement[];
  readonly best: Readonly<Record<string, MachineBest>>;
  readonly increments: IncrementReport | undefined;
  readonly links: readonly LinkFigures[] | undefined;
  readonly targets: readonly Target[];
}

export async function machineFacts(): Promise<string> {
  const [first] = cpus();
  const memory = `${(totalmem() / 2 ** 30).toFixed(0)} GiB`;
  const others = (await versionsOfOthers()).join(', ');
  return `${String(cpus().length)} x ${first?.model ?? 'unknown CPU'}, ${memory}, Node ${process.version}; ${others}`;
}

const mb = (bytes: number): string => (bytes / 1e6).toFixed(0);

function line(...cells: readonly string[]): string {
  const [first = '', second = '', ...rest] = cells;
  return `${first.padEnd(14)}${second.padEnd(18)}${rest.map((cell) => cell.padStart(11)).join('')}`;
}

/** The figures for people; MB are 10^6 bytes as others count them. */
export function printReport(report: Report): void {
  console.log(`\n${report.machine}; ${report.images} disks, median of ${String(report.runs)}\n`);
  const heads = ['wall s', 'cpu s', 'peak MiB', 'stored MB', 'objects', 'x command', 'x service'];
  console.log(line('step', 'program', ...heads));
  for (const step of STEPS) {
    const ofStep = report.summaries.filter((one) => one.step === step);
    for (const { program, wallS, cpuS, peakMemoryBytes, stored } of ofStep) {
      const times = ['hyperkeep', SERVICE].map((ours) => {
        const times = ratio(report.measurements, step, [program, ours]);
        return Number.isNaN(times) ? '' : times.toFixed(2);
      });
      const memory = (peakMemoryBytes / 2 ** 20).toFixed(0);
      const cells = [wallS.toFixed(2), cpuS.toFixed(2), memory, mb(stored.bytes)];
      console.log(line(step, program, ...cells, String(stored.objects), ...times));
    }
  }
  for (const [name, best] of Object.entries(report.best)) {
    const cells = [best.wallS.toFixed(2), best.cpuS.toFixed(2), '', mb(best.storedBytes)];
    console.log(line('full', 'at best *', ...cells, name));
  }
  console.log(
    '* hash, zstd, AES-GCM and the way back over what the first disk holds; two threads, no files written\n',
  );
  if (report.increments !== undefined) {
    printIncrements(report.increments);
  }
  if (report.links !== undefined) {
    printLinks(report.links);
  }
  console.log('targets: the first ones and those of the frozen format');
  for (const target of report.targets) {
    const { name, actual, first, second, bound, unit } = target;
    const verdict = (wanted: number | undefined): string =>
      wanted === undefined
        ? ''
        : `${bound === 'least' ? '>=' : '<='} ${String(wanted)} ${isMet(target, wanted) ? 'met' : 'SHORT'}`;
    const cells = [`${actual.toFixed(2)} ${unit}`.padStart(11), verdict(first), verdict(second)];
    console.log(`  ${name.padEnd(58)}${cells.map((cell) => cell.padEnd(15)).join('')}`);
  }
}

function printLinks(links: readonly LinkFigures[]): void {
  console.log('a full backup over a link, by compression level');
  console.log(line('link', 'level', '', 'wall s', 'cpu s', 'stored MB'));
  for (const { megabytesPerSecond, level, wallS, cpuS, storedBytes } of links) {
    const cells = ['', wallS.toFixed(2), cpuS.toFixed(2), mb(storedBytes)];
    console.log(line(`${String(megabytesPerSecond)} MB/s`, level, ...cells));
  }
  console.log('');
}

function printIncrements({ disks, worstSpread, cpuRatio }: IncrementReport): void {
  console.log('the same 64 MiB written, incremental of one disk (median)');
  console.log(line('disk', '', 'read MB', 'sent MB', 'requests', 'wall s', 'cpu s'));
  for (const { name, readBytes, sentBytes, requests, wallS, cpuS } of disks) {
    const cells = [mb(readBytes), mb(sentBytes), String(requests), wallS.toFixed(2)];
    console.log(line(name, '', ...cells, cpuS.toFixed(2)));
  }
  const spread = `${(worstSpread * 100).toFixed(1)} % (<= 5 %)`;
  console.log(
    `  bytes and requests apart by ${spread}, CPU time ${cpuRatio.toFixed(2)}x (<= 1.5x)\n`,
  );
}
