/** What the caller can do about it. It alone decides HTTP status and exit code. */
export type FaultKind =
  | 'invalid'
  | 'denied'
  | 'not-found'
  | 'conflict'
  | 'exhausted'
  | 'unsupported'
  | 'unavailable'
  | 'integrity';

/** Whether to repeat the operation: `later` may succeed by itself, `never` will not. */
type Retry = 'later' | 'never';

/**
 * Every way in which an operation can fail. A new code needs its row in docs/errors.md;
 * test/docs.spec.ts compares the two.
 */
export const FAULTS = {
  'request.invalid': { kind: 'invalid', retry: 'never' },
  'request.denied': { kind: 'denied', retry: 'never' },
  'command.failed': { kind: 'unavailable', retry: 'never' },
  'command.missing': { kind: 'unsupported', retry: 'never' },
  'store.unreachable': { kind: 'unavailable', retry: 'later' },
  'store.nonsense': { kind: 'unavailable', retry: 'later' },
  'store.denied': { kind: 'denied', retry: 'later' },
  'store.full': { kind: 'exhausted', retry: 'later' },
  'store.invalid-location': { kind: 'invalid', retry: 'never' },
  'store.bucket-missing': { kind: 'not-found', retry: 'never' },
  'store.refused': { kind: 'unsupported', retry: 'never' },
  'store.hash-mismatch': { kind: 'integrity', retry: 'later' },
  'engine.vm-not-found': { kind: 'not-found', retry: 'never' },
  'engine.vm-busy': { kind: 'conflict', retry: 'later' },
  'engine.vm-running': { kind: 'conflict', retry: 'never' },
  'engine.vm-exists': { kind: 'conflict', retry: 'never' },
  'engine.start-failed': { kind: 'unavailable', retry: 'later' },
  'engine.unreachable': { kind: 'unavailable', retry: 'later' },
  'engine.refused': { kind: 'unavailable', retry: 'later' },
  'engine.agent-silent': { kind: 'unavailable', retry: 'later' },
  'engine.image-refused': { kind: 'invalid', retry: 'never' },
  'engine.image-missing': { kind: 'integrity', retry: 'never' },
  'engine.base-replaced': { kind: 'conflict', retry: 'never' },
  'engine.image-changed': { kind: 'conflict', retry: 'later' },
  'engine.not-ours': { kind: 'conflict', retry: 'never' },
  'engine.path-too-long': { kind: 'invalid', retry: 'never' },
  'engine.state-invalid': { kind: 'integrity', retry: 'never' },
  'engine.state-newer': { kind: 'unsupported', retry: 'never' },
  'engine.fenced': { kind: 'conflict', retry: 'never' },
  'engine.hold-lost': { kind: 'conflict', retry: 'never' },
  'engine.overlay-full': { kind: 'exhausted', retry: 'later' },
  'engine.none': { kind: 'unsupported', retry: 'never' },
  'engine.merge-failed': { kind: 'unavailable', retry: 'later' },
  'host.unknown': { kind: 'not-found', retry: 'never' },
  'host.in-use': { kind: 'conflict', retry: 'later' },
  'host.disk-full': { kind: 'exhausted', retry: 'later' },
  'host.limit-reached': { kind: 'exhausted', retry: 'later' },
  'file.missing': { kind: 'not-found', retry: 'never' },
  'file.denied': { kind: 'denied', retry: 'never' },
  'file.exists': { kind: 'conflict', retry: 'never' },
  'file.busy': { kind: 'conflict', retry: 'later' },
  'file.unfit': { kind: 'invalid', retry: 'never' },
  'file.failed': { kind: 'unavailable', retry: 'later' },
  'nbd.unreachable': { kind: 'unavailable', retry: 'later' },
  'nbd.disconnected': { kind: 'unavailable', retry: 'later' },
  'nbd.timeout': { kind: 'unavailable', retry: 'later' },
  'nbd.refused': { kind: 'denied', retry: 'never' },
  'nbd.export-missing': { kind: 'not-found', retry: 'never' },
  'nbd.unsupported': { kind: 'unsupported', retry: 'never' },
  'nbd.protocol-broken': { kind: 'unavailable', retry: 'never' },
  'export.unknown': { kind: 'not-found', retry: 'never' },
  'export.failed': { kind: 'unavailable', retry: 'later' },
  'nbd.client-broken': { kind: 'invalid', retry: 'never' },
  'nbd.request-failed': { kind: 'unavailable', retry: 'later' },
  'formats.image-missing': { kind: 'not-found', retry: 'never' },
  'formats.image-exists': { kind: 'conflict', retry: 'never' },
  'formats.image-in-use': { kind: 'conflict', retry: 'later' },
  'formats.image-replaced': { kind: 'conflict', retry: 'never' },
  'formats.image-invalid': { kind: 'integrity', retry: 'never' },
  'formats.image-unsupported': { kind: 'unsupported', retry: 'never' },
  'formats.outside-reference': { kind: 'denied', retry: 'never' },
  'formats.tool-failed': { kind: 'unavailable', retry: 'later' },
  'formats.io-failed': { kind: 'unavailable', retry: 'later' },
  'service.home-shared': { kind: 'denied', retry: 'never' },
  'service.host-id-damaged': { kind: 'integrity', retry: 'never' },
  'service.unreachable': { kind: 'unavailable', retry: 'later' },
  'service.unexpected-answer': { kind: 'unsupported', retry: 'never' },
  'passphrase.missing': { kind: 'invalid', retry: 'never' },
  'passphrase.mismatch': { kind: 'invalid', retry: 'never' },
  'target.exists': { kind: 'conflict', retry: 'never' },
  'target.replaced': { kind: 'conflict', retry: 'never' },
  'vm.definition-invalid': { kind: 'invalid', retry: 'never' },
  'vm.on-other-host': { kind: 'conflict', retry: 'never' },
  'vm.ambiguous': { kind: 'invalid', retry: 'never' },
  'secret.exposed': { kind: 'denied', retry: 'never' },
  'secret.unreadable': { kind: 'integrity', retry: 'never' },
  'job.unknown': { kind: 'not-found', retry: 'never' },
  'job.conflict': { kind: 'conflict', retry: 'later' },
  'job.refused': { kind: 'exhausted', retry: 'later' },
  'job.interrupted': { kind: 'unavailable', retry: 'later' },
  'policy.invalid': { kind: 'invalid', retry: 'never' },
  'suspicion.unknown': { kind: 'not-found', retry: 'never' },
  'policy.unknown': { kind: 'not-found', retry: 'never' },
  'care.unknown': { kind: 'not-found', retry: 'never' },
  'policy.unreadable': { kind: 'unsupported', retry: 'never' },
  'policy.plan-changed': { kind: 'conflict', retry: 'later' },
  'policy.commands-refused': { kind: 'denied', retry: 'never' },
  'backup.command-failed': { kind: 'unavailable', retry: 'later' },
  'backup.group-late': { kind: 'unavailable', retry: 'later' },
  'backup.group-skewed': { kind: 'unavailable', retry: 'later' },
  'policy.group-refused': { kind: 'conflict', retry: 'never' },
  'policy.many-objects': { kind: 'exhausted', retry: 'never' },
  'retention.clock-unsure': { kind: 'unavailable', retry: 'later' },
  'retention.catalog-older': { kind: 'conflict', retry: 'never' },
  'retention.points-differ': { kind: 'integrity', retry: 'later' },
  'vault.unknown': { kind: 'not-found', retry: 'never' },
  'vault.name-taken': { kind: 'conflict', retry: 'never' },
  'vault.credentials-unknown': { kind: 'not-found', retry: 'never' },
  'token.name-taken': { kind: 'conflict', retry: 'never' },
  'token.unknown': { kind: 'not-found', retry: 'never' },
  'vault.not-chosen': { kind: 'invalid', retry: 'never' },
  'vault.key-missing': { kind: 'not-found', retry: 'never' },
  'point.unknown': { kind: 'not-found', retry: 'never' },
  'point.disk-unknown': { kind: 'not-found', retry: 'never' },
  'point.definition-invalid': { kind: 'unsupported', retry: 'never' },
  'point.damaged': { kind: 'integrity', retry: 'never' },
  'restore.firmware-not-chosen': { kind: 'invalid', retry: 'never' },
  'restore.no-space': { kind: 'exhausted', retry: 'later' },
  'vm.disk-size-differs': { kind: 'invalid', retry: 'never' },
  'database.programs-missing': { kind: 'unsupported', retry: 'never' },
  'database.folder-closed': { kind: 'invalid', retry: 'never' },
  'database.start-failed': { kind: 'unavailable', retry: 'later' },
  'database.unavailable': { kind: 'unavailable', retry: 'later' },
  'database.refused': { kind: 'denied', retry: 'never' },
  'database.in-use': { kind: 'conflict', retry: 'never' },
  'database.newer': { kind: 'unsupported', retry: 'never' },
  'database.older-hosts': { kind: 'conflict', retry: 'later' },
  'service.already-running': { kind: 'conflict', retry: 'never' },
  'vault.not-found': { kind: 'not-found', retry: 'never' },
  'vault.format-changed': { kind: 'conflict', retry: 'later' },
  'vault.being-destroyed': { kind: 'conflict', retry: 'never' },
  'vault.in-use': { kind: 'conflict', retry: 'later' },
  'vault.destroy-incomplete': { kind: 'denied', retry: 'never' },
  'vault.not-empty': { kind: 'conflict', retry: 'never' },
  'vault.created-twice': { kind: 'conflict', retry: 'later' },
  'vault.weak-passphrase': { kind: 'invalid', retry: 'never' },
  'vault.wrong-passphrase': { kind: 'denied', retry: 'never' },
  'vault.key-corrupt': { kind: 'integrity', retry: 'never' },
  'vault.format-corrupt': { kind: 'integrity', retry: 'never' },
  'vault.format-newer': { kind: 'unsupported', retry: 'never' },
  'vault.format-preliminary': { kind: 'unsupported', retry: 'never' },
  'vault.control-corrupt': { kind: 'integrity', retry: 'never' },
  'vault.pack-missing': { kind: 'integrity', retry: 'never' },
  'vault.pack-corrupt': { kind: 'integrity', retry: 'never' },
  'vault.chunk-corrupt': { kind: 'integrity', retry: 'never' },
  'vault.map-corrupt': { kind: 'integrity', retry: 'never' },
  'vault.damage-found': { kind: 'integrity', retry: 'never' },
  'vault.data-lost': { kind: 'integrity', retry: 'never' },
  'vault.point-corrupt': { kind: 'integrity', retry: 'never' },
  'vault.point-not-found': { kind: 'not-found', retry: 'never' },
  'vault.disk-not-found': { kind: 'not-found', retry: 'never' },
  'vault.file-not-found': { kind: 'not-found', retry: 'never' },
  'vault.point-retired': { kind: 'conflict', retry: 'later' },
  'vault.point-held': { kind: 'conflict', retry: 'never' },
  'vault.point-being-read': { kind: 'conflict', retry: 'later' },
  'vault.record-unreadable': { kind: 'integrity', retry: 'never' },
  'vault.point-condemned': { kind: 'conflict', retry: 'never' },
  'vault.collect-unsure': { kind: 'integrity', retry: 'never' },
  'vault.collect-unproven': { kind: 'conflict', retry: 'never' },
  'vault.list-incomplete': { kind: 'unavailable', retry: 'later' },
  'vault.points-missing': { kind: 'integrity', retry: 'never' },
  'vault.objects-missing': { kind: 'integrity', retry: 'never' },
  'vault.retention-key-missing': { kind: 'denied', retry: 'never' },
  'vault.not-locked': { kind: 'invalid', retry: 'never' },
  'vault.store-unfit': { kind: 'unsupported', retry: 'never' },
  'vault.key-not-found': { kind: 'not-found', retry: 'never' },
  'vault.key-in-use': { kind: 'conflict', retry: 'never' },
  'vault.keys-changed': { kind: 'conflict', retry: 'later' },
  'vault.key-outdated': { kind: 'denied', retry: 'never' },
  'vault.conflict': { kind: 'conflict', retry: 'later' },
  'vault.vm-busy': { kind: 'conflict', retry: 'later' },
  'vault.write-damaged': { kind: 'integrity', retry: 'later' },
  'vault.limit-reached': { kind: 'exhausted', retry: 'never' },
  'vault.source-short': { kind: 'invalid', retry: 'never' },
  'vault.worker-lost': { kind: 'exhausted', retry: 'later' },
  'collector.database-shared': { kind: 'denied', retry: 'never' },
  'collector.clock-disagrees': { kind: 'conflict', retry: 'later' },
  'copy.same-place': { kind: 'invalid', retry: 'never' },
  'copy.other-vault': { kind: 'conflict', retry: 'never' },
  'copy.target-collected': { kind: 'conflict', retry: 'never' },
  'copy.overtaken': { kind: 'conflict', retry: 'later' },
  'copy.wrong-object': { kind: 'integrity', retry: 'never' },
  'copy.damaged': { kind: 'integrity', retry: 'never' },
  'budget.reached': { kind: 'exhausted', retry: 'later' },
  'budget.prices-invalid': { kind: 'invalid', retry: 'never' },
  'vault.chunk-id-unavailable': { kind: 'unsupported', retry: 'never' },
} as const satisfies Record<string, { kind: FaultKind; retry: Retry }>;

export type FaultCode = keyof typeof FAULTS;

/** Facts for the log and the API, never values that may be secret. */
export type FaultContext = Readonly<Record<string, string | number | boolean>>;

/** Exit code of the command line by kind of fault; 70 is a bug. */
export const EXIT_CODES: Readonly<Record<FaultKind, number>> = {
  invalid: 2,
  denied: 3,
  'not-found': 4,
  conflict: 5,
  exhausted: 6,
  unsupported: 7,
  unavailable: 8,
  integrity: 9,
};

/**
 * An expected failure of the outside world. A bug is an AssertionError and a cancellation is an
 * AbortError; neither is a fault. `message` is safe to show and names the next step.
 */
export class Fault extends Error {
  override readonly name = 'Fault';
  readonly code: FaultCode;
  readonly context: FaultContext;

  constructor(
    code: FaultCode,
    message: string,
    context: FaultContext = {},
    options?: ErrorOptions,
  ) {
    super(message, options);
    this.code = code;
    this.context = context;
  }

  get kind(): FaultKind {
    return FAULTS[this.code].kind;
  }

  get retry(): Retry {
    return FAULTS[this.code].retry;
  }
}

/** A failed call to the operating system. `kernel/files/files.ts` makes these. */
export class SystemFault extends Fault {
  /** Such as `ENOENT`. */
  readonly system: string;

  constructor(code: FaultCode, message: string, { path, system }: SystemFacts, cause: unknown) {
    super(code, message, { path, system }, { cause });
    this.system = system;
  }
}

interface SystemFacts {
  readonly path: string;
  readonly system: string;
}

/** True for faults; with `code` only for that fault. */
export function isFault(error: unknown, code?: FaultCode): error is Fault {
  return error instanceof Fault && (code === undefined || error.code === code);
}

/** True for faults that report damage or loss. */
export function isIntegrity(error: unknown): error is Fault {
  return isFault(error) && error.kind === 'integrity';
}

/** Returns a fault that reports damage or loss; throws anything else. */
export function integrityOrThrow(error: unknown): Fault {
  if (isIntegrity(error)) {
    return error;
  }
  throw error;
}

/** Runs `open`. If it meets damage or loss, tells `note` and returns undefined. */
export async function unlessDamaged<T>(
  open: () => Promise<T>,
  note?: (fault: Fault) => void,
): Promise<T | undefined> {
  try {
    return await open();
  } catch (error) {
    const fault = integrityOrThrow(error);
    note?.(fault);
    return undefined;
  }
}

/** True if `error` says that an AbortSignal fired. */
export function isAbort(error: unknown): boolean {
  return Error.isError(error) && error.name === 'AbortError';
}

/** Returns the code of the system call that failed, such as `ENOENT`, if `error` has one. */
export function systemCode(error: unknown): string | undefined {
  if (error instanceof Fault) {
    return error instanceof SystemFault ? error.system : undefined;
  }
  const code: unknown = Error.isError(error) ? (error as { code?: unknown }).code : undefined;
  return typeof code === 'string' ? code : undefined;
}
