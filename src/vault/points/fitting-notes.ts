import { shortened } from '../../kernel/text/shortened.ts';
import { NOTE_CHARACTERS_MAX, NOTES_MAX } from '../format/limits.ts';

/** Size of all notes as JSON: it leaves room for the VM's configuration in a recovery point. */
const NOTES_BYTES_MAX = 1024 * 1024;

/**
 * Returns notes that fit into a recovery point: shortens long ones and leaves out the last of too
 * many, and says so. A point is worth more than its notes.
 */
export function fittingNotes(notes: readonly string[]): string[] {
  const fitting: string[] = [];
  let bytes = 0;
  for (const note of notes) {
    const text = shortened(note, NOTE_CHARACTERS_MAX);
    bytes += Buffer.byteLength(JSON.stringify(text));
    if (bytes > NOTES_BYTES_MAX) {
      break;
    }
    fitting.push(text);
  }
  if (fitting.length === notes.length && fitting.length <= NOTES_MAX) {
    return fitting;
  }
  const kept = fitting.slice(0, NOTES_MAX - 1);
  return [...kept, `${notes.length - kept.length} more notes did not fit.`];
}
