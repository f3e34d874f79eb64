import { isDeepStrictEqual } from 'node:util';

/** A field of a policy that differs. Missing before or after: it was not given. */
export interface FieldChange {
  /** `schedule.every` */
  readonly field: string;
  readonly before?: unknown;
  readonly after?: unknown;
}

/** Returns what differs between two JSON values; a list that differs counts as a whole. */
export function fieldChanges(before: unknown, after: unknown, field = ''): FieldChange[] {
  if (isDeepStrictEqual(before, after)) {
    return [];
  }
  if (isMap(before) && isMap(after)) {
    const names = new Set([...Object.keys(before), ...Object.keys(after)]);
    return [...names].flatMap((name) =>
      fieldChanges(before[name], after[name], field === '' ? name : `${field}.${name}`),
    );
  }
  return [
    {
      field,
      ...(before === undefined ? {} : { before }),
      ...(after === undefined ? {} : { after }),
    },
  ];
}

function isMap(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
