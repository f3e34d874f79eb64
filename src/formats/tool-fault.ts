import { Fault } from '../kernel/fault.ts';
import { plainWords } from '../kernel/text/plain-text.ts';

const MESSAGE_CHARACTERS_MAX = 600;

/** Meanings of the messages of QEMU's tools, which run in the C locale. */
const MEANINGS = [
  // From setpriv, which starts the tool.
  { pattern: /failed to execute .*No such file/, code: 'command.missing' },
  { pattern: /Failed to get .*lock/, code: 'formats.image-in-use' },
  { pattern: /No space left on device/, code: 'host.disk-full' },
  { pattern: /No such file or directory/, code: 'formats.image-missing' },
  { pattern: /File exists/, code: 'formats.image-exists' },
] as const;

const ADVICE = {
  'command.missing': 'Install qemu-utils.',
  'formats.image-in-use':
    'Another program has the image open; stop the VM or wait until the other job is done.',
  'host.disk-full': 'The disk of the host is full; free some space and repeat.',
  'formats.image-missing': 'Check the name of the image.',
  'formats.image-exists': 'Choose another name or remove the file.',
  'formats.tool-failed': 'Check the image with qemu-img check.',
} as const;

/** Returns the fault for a tool's last message. */
export function toolFault(tool: string, said: string, options?: ErrorOptions): Fault {
  const code =
    MEANINGS.find(({ pattern }) => pattern.test(said))?.code ?? ('formats.tool-failed' as const);
  const shown = plainWords(said, MESSAGE_CHARACTERS_MAX, 'end');
  return new Fault(code, `${tool} failed: ${shown} — ${ADVICE[code]}`, { tool }, options);
}
