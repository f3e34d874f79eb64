import type { FaultCode, FaultKind } from '../../kernel/fault.ts';
import { COLLECT_ADVICE } from './advice/collect-advice.ts';
import { COPY_ADVICE } from './advice/copy-advice.ts';
import { ENGINE_ADVICE } from './advice/engine-advice.ts';
import { FILE_ADVICE } from './advice/file-advice.ts';
import { KEY_ADVICE } from './advice/key-advice.ts';
import { POLICY_ADVICE } from './advice/policy-advice.ts';
import { SERVICE_ADVICE } from './advice/service-advice.ts';
import { VAULT_ADVICE } from './advice/vault-advice.ts';

/** What a fault means to the person who gets it, in about three sentences. */
export interface FaultAdvice {
  /** What happened. */
  readonly happened: string;
  /** What it means for the data. */
  readonly data: string;
  /** What to do. */
  readonly next: string;
}

/**
 * The source of docs/errors.md: test/docs.spec.ts checks that every code of FAULTS is here, that
 * nothing else is, and that the page says the same.
 */
export const FAULT_ADVICE: Partial<Record<FaultCode, FaultAdvice>> = {
  ...SERVICE_ADVICE,
  ...POLICY_ADVICE,
  ...VAULT_ADVICE,
  ...KEY_ADVICE,
  ...COLLECT_ADVICE,
  ...COPY_ADVICE,
  ...ENGINE_ADVICE,
  ...FILE_ADVICE,
};

/** For a code without a row: what follows from its kind. */
const BY_KIND: Readonly<Record<FaultKind, Omit<FaultAdvice, 'happened'>>> = {
  invalid: { data: 'Nothing was changed.', next: 'Correct the request and run it again.' },
  denied: { data: 'Nothing was changed.', next: 'Use the right credentials and run it again.' },
  'not-found': { data: 'Nothing was changed.', next: 'Look at what there is and name that.' },
  conflict: {
    data: 'Earlier recovery points are not touched.',
    next: 'Look at the present state and run the command again.',
  },
  exhausted: {
    data: 'Earlier recovery points are not touched; nothing half-written counts.',
    next: 'Make room and run the command again; what was stored is not sent twice.',
  },
  unsupported: {
    data: 'Nothing was changed.',
    next: 'Read the message: it names what is missing.',
  },
  unavailable: {
    data: 'Earlier recovery points are not touched; nothing half-written counts.',
    next: 'Run the command again later; what was stored is not sent twice.',
  },
  integrity: {
    data: 'What was read is not what was written. Nothing wrong was handed out.',
    next: 'Do not delete anything. Run a verify of all recovery points and look at the storage.',
  },
};

export function adviceFor(code: FaultCode, kind: FaultKind): Omit<FaultAdvice, 'happened'> {
  return FAULT_ADVICE[code] ?? BY_KIND[kind];
}
