import { z } from 'zod';

const ENTRIES_MAX = 1000;

/** A VM's name; `*` stands for any characters, also none. */
const VmPattern = z
  .string()
  .regex(/^[A-Za-z0-9*][A-Za-z0-9._*-]{0,62}$/, 'the name of a VM, with * for any characters');

/** A word that somebody gave VMs. */
const Tag = z
  .string()
  .regex(/^[A-Za-z0-9][A-Za-z0-9._:=/-]{0,62}$/, 'letters, digits, . _ - : = /; at most 63');

const patterns = z.array(VmPattern).min(1).max(ENTRIES_MAX);
const tags = z.array(Tag).min(1).max(ENTRIES_MAX);

/** Which VMs a policy protects: `all`, or those with one of the names or tags; minus `exclude`. */
export const Selector = z
  .strictObject({
    vms: patterns.optional(),
    tags: tags.optional(),
    all: z.literal(true).optional(),
    exclude: z.strictObject({ vms: patterns.optional(), tags: tags.optional() }).optional(),
  })
  .refine(
    ({ vms, tags: tagged, all }) => all === true || vms !== undefined || tagged !== undefined,
    'says of no VM that it is protected; give vms, tags, or all: true',
  )
  .refine(
    ({ vms, tags: tagged, all }) => all !== true || (vms === undefined && tagged === undefined),
    'says all and names some as well; give one of them, and exclude for what to leave out',
  );
export type Selector = z.infer<typeof Selector>;

/** What a selector looks at. */
export interface SelectableVm {
  readonly id: string;
  readonly name: string;
  readonly tags: readonly string[];
  /** What the VM is for, if it is the twin of another one; no policy protects a twin. */
  readonly purpose?: 'drill' | 'hydrating' | undefined;
}

/** Returns the VMs that a policy protects, in their order. */
export function selectVms<Vm extends SelectableVm>(
  { selector }: { readonly selector: Selector },
  vms: readonly Vm[],
): Vm[] {
  const { all, exclude = {} } = selector;
  return vms.filter(
    (vm) =>
      vm.purpose === undefined && (all === true || isNamed(selector, vm)) && !isNamed(exclude, vm),
  );
}

function isNamed(names: Pick<Selector, 'vms' | 'tags'>, vm: SelectableVm): boolean {
  return (
    (names.vms ?? []).some((pattern) => matches(pattern, vm.name)) ||
    (names.tags ?? []).some((tag) => vm.tags.includes(tag))
  );
}

/**
 * Compares piece by piece, the first place of each being the best one: no pattern takes longer than
 * its length times that of the name.
 */
function matches(pattern: string, name: string): boolean {
  const [first = '', ...rest] = pattern.split('*');
  const last = rest.pop();
  if (last === undefined) {
    return name === pattern;
  }
  if (!name.startsWith(first)) {
    return false;
  }
  let from = first.length;
  for (const piece of rest) {
    const found = name.indexOf(piece, from);
    if (found === -1) {
      return false;
    }
    from = found + piece.length;
  }
  return name.length - last.length >= from && name.endsWith(last);
}
