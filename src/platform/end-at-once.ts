/**
 * Ends this process now. `process.exit` waits for its threads, and one of them may hang in the file
 * system.
 */
export function endAtOnce(): void {
  process.kill(process.pid, 'SIGKILL');
}

/** What nothing can hang in; the names are those of Node. */
const HARMLESS =
  /^(Timeout|Immediate|PipeWrap|TTYWrap|TCPSocketWrap|TCPServerWrap|ProcessWrap|SignalWrap)$/;

/**
 * Ends this process with its exit code when all that it still has is of no use to anybody: closing
 * it piece by piece takes as long as the rest of the stop. While a thread works it ends by itself.
 */
export function endIfIdle(): void {
  if (process.getActiveResourcesInfo().every((name) => HARMLESS.test(name))) {
    process.exit();
  }
}
