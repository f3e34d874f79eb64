/**
 * Ends this process now. `process.exit` waits for its threads, and one of them may hang in the file
 * system.
 */
export function endAtOnce(): void {
  process.kill(process.pid, 'SIGKILL');
}

/** Resources in which nothing can hang, by Node's names. */
const HARMLESS =
  /^(Timeout|Immediate|PipeWrap|TTYWrap|TCPSocketWrap|TCPServerWrap|ProcessWrap|SignalWrap)$/;

/**
 * Ends this process with its exit code if nothing that it still has is of any use: closing it piece
 * by piece takes as long as the rest of the stop. If a thread is working, the process ends by
 * itself.
 */
export function endIfIdle(): void {
  if (process.getActiveResourcesInfo().every((name) => HARMLESS.test(name))) {
    process.exit();
  }
}
