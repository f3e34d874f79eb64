import { spawn } from 'node:child_process';
import type { Writable } from 'node:stream';
import { plainEnvironment, requireStart } from '../../../kernel/command.ts';

/** Bytes per read: few, because the log of a serial port comes a few characters at a time. */
const READ_BYTES = 64;
/** Size at which a log file begins anew; the one before is kept as `.1`. */
const FILE_BYTES_MAX = 4 * 1024 * 1024;

/**
 * Writes its input to the file $1, in pieces as they come, and begins a new file before one exceeds
 * $2 reads of $3 bytes. Ends with its input.
 */
const SCRIPT = `
umask 077
: > "$1"
while :; do
  dd of="$1" oflag=append conv=notrunc bs="$3" count="$2" status=none
  dd of="$1.next" bs="$3" count=1 status=none
  [ -s "$1.next" ] || { rm -f "$1.next"; exit 0; }
  mv -f "$1" "$1.1"
  mv -f "$1.next" "$1"
done`;

/**
 * Starts a small process that keeps the end of a log: at most twice 4 MiB on disk, whatever a guest
 * prints. It outlives us as the VM does, and ends when the last writer is gone.
 *
 * @returns the stream to pass to the printing child; close our end afterwards
 */
export async function startRollingLog(path: string): Promise<Writable> {
  const count = String(Math.floor(FILE_BYTES_MAX / READ_BYTES));
  const child = spawn('/bin/sh', ['-c', SCRIPT, 'sh', path, count, String(READ_BYTES)], {
    detached: true,
    env: plainEnvironment(),
    stdio: ['pipe', 'ignore', 'ignore'],
  });
  child.unref();
  await requireStart(child, '/bin/sh');
  return child.stdin;
}
