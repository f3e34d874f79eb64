import { formatBytes } from '../src/kernel/text/bytes.ts';

/** Tells the demo's story on standard output: chapters, the commands as typed, and figures. */
export class Story {
  private chapterNumber = 0;
  private readonly startedMs = performance.now();

  line(text = ''): void {
    console.log(text);
  }

  chapter(title: string): void {
    this.chapterNumber += 1;
    const at = this.seconds(this.startedMs);
    console.log(`\n${String(this.chapterNumber)}. ${title}  [${at}]`);
  }

  /** A command as a person would type it. */
  command(words: readonly string[]): void {
    console.log(`   $ hyperkeep ${words.map(quoted).join(' ')}`);
  }

  say(text: string): void {
    console.log(`   ${text}`);
  }

  figure(name: string, value: string): void {
    console.log(`     ${name.padEnd(26)} ${value}`);
  }

  size(name: string, count: number): void {
    this.figure(name, formatBytes(count));
  }

  seconds(sinceMs: number): string {
    return `${((performance.now() - sinceMs) / 1000).toFixed(1)} s`;
  }

  total(): string {
    return this.seconds(this.startedMs);
  }
}

function quoted(word: string): string {
  return /^[\w./:=@-]+$/.test(word) ? word : `'${word}'`;
}
